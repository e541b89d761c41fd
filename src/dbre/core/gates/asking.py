"""Asking the gates: all at once, each with a second to answer; the worst answer counts."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Refused, UsageError
from dbre.core.fleet import Fleet
from dbre.core.gates.model import SILENCE, Gate, GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.operation.plan import PlannedOperation, canonical
from dbre.core.operation.target_labels import cluster_of, labels_of
from dbre.core.text import closest, one_line, quoted

__all__ = ["ANSWER_SECONDS", "LOCK_GATE", "GateUnknown", "Gates", "question_for"]

ANSWER_SECONDS = 1.0
"""How long a gate may think; then its fail mode decides."""

LOCK_GATE = "target-lock"
"""The one gate that nobody can override: two operations on one target would undo each other's work."""

_EVIDENCE_BYTES = 16_384
_REASON_CHARACTERS = 500
_log = structlog.get_logger(__name__)


class GateUnknown(UsageError):
    """This installation has no gate of that name."""

    code = "gate.unknown"


class Gates:
    """The gates of this installation."""

    def __init__(self, gates: Sequence[Gate], clock: Clock, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._gates = {gate.name: gate for gate in sorted(gates, key=lambda one: one.name)}
        if len(self._gates) != len(gates):
            raise ValueError(f"gates need names of their own: {', '.join(gate.name for gate in gates)}")
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._late: set[asyncio.Task[GateDecision]] = set()  # cut off, and not ended yet

    def all(self) -> tuple[Gate, ...]:
        """Every gate, in alphabetical order."""
        return tuple(self._gates.values())

    def get(self, name: str) -> Gate:
        """The gate of that name. Raises: GateUnknown with a did-you-mean."""
        if name not in self._gates:
            near = closest(name, self._gates)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(self._gates) or 'none'} (dbre gate list)"
            raise GateUnknown(f"{quoted(name, limit=100)} is not a gate", hint=hint, context={"gate": name[:100]})
        return self._gates[name]

    def check_names(self, names: Iterable[str]) -> None:
        """See that every gate that a plan names exists. Raises: GateUnknown."""
        for name in names:
            self.get(name)

    def check_override(self, name: str) -> None:
        """See that the gate can be bypassed. Raises: GateUnknown; Refused for the lock of the target."""
        self.get(name)
        if name == LOCK_GATE:
            raise Refused(
                f"gate {name} cannot be overridden: two operations on one target would undo each other's work",
                hint="wait for the operation that holds the target, or cancel it: dbre gate held",
                context={"gate": name},
            )

    def asked_for(self, planned: PlannedOperation) -> tuple[Gate, ...]:
        """The gates that ask always and those that the plan names. Raises: GateUnknown."""
        self.check_names(planned.plan.gates)
        return tuple(gate for name, gate in self._gates.items() if gate.asks_always or name in planned.plan.gates)

    async def ask(self, question: GateQuestion, *, overrides: Collection[str] = ()) -> tuple[GateDecision, ...]:
        """What each gate says, the worst first, and before one that could not answer.

        A gate that fails, or says nothing within ``ANSWER_SECONDS``, holds; it allows where it fails open for this question.
        A gate in ``overrides`` is asked too, so that the record shows what was bypassed; then it allows, with
        ``is_overridden`` where it would not have allowed by itself.

        Raises: GateUnknown where the plan names a gate that does not exist.
        """
        gates = self.asked_for(question.planned)
        tasks = {gate.name: asyncio.ensure_future(gate.decide(question)) for gate in gates}
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=self._answer_seconds)
        finally:
            for task in tasks.values():
                self._cut_off(task)
        decisions = [self._decision(gate, tasks[gate.name], question) for gate in gates]
        bypassed = frozenset(overrides) - {LOCK_GATE}
        found = [_overridden(one) if one.gate in bypassed else one for one in decisions]
        return tuple(sorted(found, key=lambda one: (-one.verdict.weight, one.is_silent, one.gate)))

    def _cut_off(self, task: "asyncio.Future[GateDecision]") -> None:
        """End a gate that is late, without waiting for it: one that ignores its cancellation must delay nobody."""
        if not task.done() and isinstance(task, asyncio.Task):
            task.cancel()
            self._late.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[GateDecision]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("gate_failed_late", error=f"{type(error).__name__}: {one_line(str(error))}")

    def _decision(self, gate: Gate, task: "asyncio.Future[GateDecision]", question: GateQuestion) -> GateDecision:
        if not task.done() or task.cancelled():
            why = f"no answer within {self._answer_seconds:g} s"
            return self._without_answer(gate, question, why, evidence={"error": why, "code": "gate.timeout"})
        error = task.exception()
        if error is None:
            try:
                return _checked(gate, task.result())
            except (AttributeError, TypeError, ValueError) as defect:
                error = defect
        described = error.message if isinstance(error, DbreError) else f"{type(error).__name__}: {error}"
        code = error.code if isinstance(error, DbreError) else "gate.failed"
        evidence = {"error": one_line(described, limit=_REASON_CHARACTERS), "code": code}
        return self._without_answer(gate, question, one_line(described), evidence=evidence)

    def _without_answer(self, gate: Gate, question: GateQuestion, why: str, *, evidence: Mapping[str, str]) -> GateDecision:
        is_open = _fails_open(gate, question)
        _log.warning("gate_without_answer", gate=gate.name, kind=question.planned.kind, fails_open=is_open, **evidence)
        consequence = "the operation may go on without it" if is_open else "the operation waits until it can"
        return GateDecision(
            gate=gate.name,
            verdict=GateVerdict.ALLOW if is_open else GateVerdict.HOLD,
            reason=one_line(f"{gate.name} cannot answer ({why}), so {consequence}", limit=_REASON_CHARACTERS),
            evidence={**evidence, SILENCE: is_open},
        )


def _fails_open(gate: Gate, question: GateQuestion) -> bool:
    try:
        return gate.fails_open(question) is True
    except Exception as error:  # noqa: BLE001 - a gate that cannot even say this holds; the reason is logged
        _log.warning("gate_fail_mode_unknown", gate=gate.name, error=f"{type(error).__name__}: {one_line(str(error))}")
        return False


def _checked(gate: Gate, decision: GateDecision) -> GateDecision:
    """The decision as it can be stored, hashed and shown. Raises: ValueError where its evidence cannot."""
    size = len(canonical(dict(decision.evidence)))
    if size > _EVIDENCE_BYTES:
        raise ValueError(f"{size} B of evidence, the limit is {_EVIDENCE_BYTES} B")
    reason = one_line(decision.reason, limit=_REASON_CHARACTERS)
    return replace(decision, gate=gate.name, verdict=GateVerdict(decision.verdict), reason=reason)


def _overridden(decision: GateDecision) -> GateDecision:
    if decision.verdict is GateVerdict.ALLOW:
        return decision
    evidence = {**decision.evidence, "overridden_verdict": decision.verdict.value}
    return replace(decision, verdict=GateVerdict.ALLOW, evidence=evidence, is_overridden=True)


def question_for(
    planned: PlannedOperation,
    fleet: Fleet,
    *,
    requested_by: str,
    at: datetime,
    operation_id: UUID | None = None,
    moment: Moment = Moment.START,
    step: str | None = None,
    parent_ids: Sequence[UUID] = (),
) -> GateQuestion:
    """The question about a plan, with the cluster and its labels taken from the target: ``cluster/NAME[/...]``.

    A cluster that the configuration does not have (any more) has its name as its only label.
    """
    return GateQuestion(
        operation_id=operation_id,
        planned=planned,
        requested_by=requested_by,
        moment=moment,
        step=step,
        cluster=cluster_of(planned.plan.target),
        labels=labels_of(planned.plan.target, fleet),
        at=at,
        parent_ids=tuple(parent_ids),
    )
