"""The desk over the state store: every act is checked for its principal, and written in one transaction with its audit."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import Denied, UsageError
from dbre.core.fleet import Fleet
from dbre.core.gates.approval import approvals_wanted
from dbre.core.gates.asking import Gates, question_for
from dbre.core.gates.model import GateDecision
from dbre.core.identity.four_eyes import is_same, require_approver
from dbre.core.identity.model import Permission, Principal, PrincipalKind
from dbre.core.operation.approving import check_approvable, release_approved, write_approval
from dbre.core.operation.definition import OperationRegistry
from dbre.core.operation.desk import OperationFilter, OverrideRequest, Preview, Submission
from dbre.core.operation.dispatch import Dispatcher
from dbre.core.operation.errors import NoSuchOperation, PlanChanged, WrongState
from dbre.core.operation.gate_check import check_gates
from dbre.core.operation.journal import Journal
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.overriding import check_override, write_override
from dbre.core.operation.plan import PlannedOperation, canonical
from dbre.core.operation.plan_diff import check_unchanged
from dbre.core.operation.planning import make_plan, validated_input
from dbre.core.operation.reading import load
from dbre.core.operation.resolving import resolve_in
from dbre.core.operation.states import CLAIMABLE, FINAL, OperationState
from dbre.core.operation.steering import LONGEST_REASON, Steering, tuning_of
from dbre.core.operation.submission import check_submission, find_submitted, write_operation
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["DeskParts", "StoreDesk"]

Result = TypeVar("Result")
_AGAIN = frozenset({OperationState.FAILED, OperationState.CANCELLED, OperationState.COMPENSATED, OperationState.CLOSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskParts:
    """What desks are made of; one set serves every principal."""

    store: Store
    registry: OperationRegistry
    journal: Journal
    gates: Gates
    fleet: Fleet
    clock: Clock
    dispatcher: Dispatcher


class StoreDesk:
    """Acts for one principal (``OperationDesk``)."""

    def __init__(self, parts: DeskParts, principal: Principal) -> None:
        self._parts = parts
        self._principal = principal

    @property
    def principal(self) -> Principal:
        """For whom it acts."""
        return self._principal

    async def preview(self, kind: str, asked: Mapping[str, Any]) -> Preview:
        """Validate the input, look, and make the plan; nothing is stored."""
        self._require_asked(kind, asked)
        planned = await self._plan(kind, asked)
        decisions = await self._ask(planned)
        return Preview(planned=planned, decisions=decisions, approvals_needed=approvals_wanted(decisions))

    async def submit(self, planned: PlannedOperation, submission: Submission) -> OperationRecord:
        """Plan again from the same input, and store the operation if the plan has the same hash."""
        self._require_asked(planned.kind, planned.input)  # before that is looked at: a document may name any target
        self._require(Permission.OPERATE, planned.plan.target, f"{planned.kind} on {planned.plan.target}")
        if (known := await self._submitted(planned, submission)) is not None:
            return known
        check_submission(planned, submission, now=self._parts.clock.now(), principal=self._principal)
        check_unchanged(planned, await self._plan(planned.kind, planned.input))
        await self._check_overrides(planned, submission.overrides)
        decisions = await self._ask(planned, overrides=[one.gate for one in submission.overrides])
        check_gates(decisions, fail_if_busy=submission.fail_if_busy)
        state = OperationState.AWAITING_APPROVAL if approvals_wanted(decisions) else OperationState.QUEUED
        return await self._told(await self._write(planned, submission, state))

    async def request(
        self, kind: str, asked: Mapping[str, Any], submission: Submission, *, plan_hash: str | None = None
    ) -> OperationRecord:
        """Plan and submit in one go; the same dedup key with the same input gives the first operation again."""
        if submission.dedup_key is not None and plan_hash is None:
            _, stored = validated_input(self._parts.registry.get(kind), asked)
            known = await self.list(OperationFilter(dedup_key=submission.dedup_key, kind=kind, limit=1))
            if known and canonical(dict(known[0].planned.input)) == canonical(stored):
                return await self.get(known[0].id)
        planned = (await self.preview(kind, asked)).planned
        if plan_hash is not None and plan_hash != planned.hash:
            raise PlanChanged(
                f"the plan would be another one now: its hash is {planned.hash[:12]}, not {printable(plan_hash, limit=12)}",
                hint="look at the new plan (--dry-run) and submit that one",
                context={"plan_hash": plan_hash[:64], "plan_hash_now": planned.hash},
            )
        return await self.submit(planned, submission)

    async def approve(self, operation_id: UUID, *, plan_hash: str | None = None, comment: str | None = None) -> OperationRecord:
        """Consent to the stored plan, which is made once more to see that it still is what would be done."""
        seen = await self.get(operation_id)
        check_approvable(seen, plan_hash=plan_hash, comment=comment)
        self._require_approver(seen)
        check_unchanged(seen.planned, await self._plan(seen.planned.kind, seen.planned.input, requested_by=seen.requested_by))
        journal, at, actor = self._parts.journal, self._parts.clock.now(), self._principal.name

        async def consent(connection: AsyncConnection) -> OperationRecord:
            record = await self._visible(connection, operation_id)
            check_approvable(record, plan_hash=plan_hash or seen.plan_hash, comment=comment)
            return await write_approval(connection, record, approver=actor, comment=comment, journal=journal, at=at)

        record = await self._parts.store.grouped(consent)
        if approvals_wanted(await self._ask_about(record)):
            return record  # more people have to consent
        return await self._released(operation_id)

    async def pause(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary, until ``resume``."""
        return await self._steer(operation_id, lambda steering, record: steering.pause(record, reason))

    async def resume(self, operation_id: UUID) -> OperationRecord:
        """Go on after ``pause``."""
        return await self._steer(operation_id, lambda steering, record: steering.resume(record))

    async def cancel(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary and undo what was done."""
        return await self._steer(operation_id, lambda steering, record: steering.cancel(record, reason))

    async def retry(self, operation_id: UUID, *, confirm: str | None = None) -> OperationRecord:
        """Submit the input of an operation that ended badly once more, as a new operation, if its plan is still the same."""
        old = await self.get(operation_id)
        if old.state not in _AGAIN:
            raise WrongState(
                f"operation {operation_id} is {old.state}; only one that ended badly can be tried again",
                hint=f"dbre op show {operation_id}",
                context={"state": old.state.value},
            )
        reason = f"retry of {operation_id}" + (f": {old.reason}" if old.reason else "")
        return await self.submit(
            old.planned, Submission(reason=reason[:2000], confirm=confirm, zone=old.zone, priority=old.priority)
        )

    async def resolve(self, operation_id: UUID, resolution: Resolution, *, reason: str) -> OperationRecord:
        """Decide for an operation that needs an operator."""
        if not reason.strip() or len(reason) > LONGEST_REASON:
            raise UsageError(
                f"a decision needs a reason of 1 to {LONGEST_REASON} characters", hint='--reason "what was seen on the target"'
            )

        async def write(steering: Steering, record: OperationRecord) -> None:
            await resolve_in(steering.connection, steering.journal, record, resolution, by=steering.actor, reason=reason)

        return await self._steer(operation_id, write, permission=Permission.RESOLVE)

    async def tune(self, operation_id: UUID, values: Mapping[str, str]) -> OperationRecord:
        """Change tunables of a running operation. Raises: UsageError naming the tunables that it has."""
        kind = (await self.get(operation_id)).planned.kind
        read = tuning_of(kind, self._parts.registry.get(kind).tunables, values)
        return await self._steer(operation_id, lambda steering, record: steering.tune(record, read))

    async def override(self, operation_id: UUID, request: OverrideRequest) -> OperationRecord:
        """Bypass a gate that holds an operation that is stored already."""

        async def write(steering: Steering, record: OperationRecord) -> None:
            if record.state in FINAL:
                raise WrongState(f"operation {record.id} is {record.state}: no gate holds it", hint=f"dbre op show {record.id}")
            await write_override(
                steering.connection, record.id, request, by=steering.actor, journal=steering.journal, at=steering.at
            )
            await steering.wake(record)

        check_override(request, self._parts.gates)
        seen = await self.get(operation_id)
        self._require_other_eyes(request.gate, await self._ask_about(seen), requested_by=seen.requested_by)
        record = await self._steer(operation_id, write, permission=Permission.OVERRIDE)
        if record.state is not OperationState.AWAITING_APPROVAL or approvals_wanted(await self._ask_about(record)):
            return record
        return await self._released(operation_id)  # the gate that wanted consent is the one that is bypassed

    async def get(self, operation_id: UUID) -> OperationRecord:
        """One operation with its journal. Raises: NoSuchOperation, also for one that the principal may not see."""
        async with self._parts.store.read() as connection:
            return await self._visible(connection, operation_id)

    async def list(self, wanted: OperationFilter) -> Sequence[OperationRecord]:
        """Operations without their journals; what the principal may not see is not among them."""
        self._principal.require(Permission.READ, what="operations")
        async with self._parts.store.read() as connection:
            return await list_operations(connection, wanted, may_see=self._may_see)

    async def _plan(self, kind: str, asked: Mapping[str, Any], *, requested_by: str | None = None) -> PlannedOperation:
        definition = self._parts.registry.get(kind)
        name = requested_by or self._principal.name
        planned = await make_plan(definition, asked, clock=self._parts.clock, requested_by=name)
        self._require(Permission.READ, planned.plan.target, f"{kind} on {planned.plan.target}")
        return planned

    async def _ask(self, planned: PlannedOperation, *, overrides: Iterable[str] = ()) -> tuple[GateDecision, ...]:
        question = question_for(planned, self._parts.fleet, requested_by=self._principal.name, at=self._parts.clock.now())
        return await self._parts.gates.ask(question, overrides=tuple(overrides))

    async def _ask_about(self, record: OperationRecord) -> tuple[GateDecision, ...]:
        question = question_for(
            record.planned,
            self._parts.fleet,
            requested_by=record.requested_by,
            at=self._parts.clock.now(),
            operation_id=record.id,
        )
        return await self._parts.gates.ask(question, overrides=[one.gate for one in record.overrides])

    async def _submitted(self, planned: PlannedOperation, submission: Submission) -> OperationRecord | None:
        if submission.dedup_key is None:
            return None
        async with self._parts.store.read() as connection:
            return await find_submitted(connection, planned, submission)

    async def _write(self, planned: PlannedOperation, given: Submission, state: OperationState) -> OperationRecord:
        parts, name = self._parts, self._principal.name

        async def write(connection: AsyncConnection) -> OperationRecord:
            known = await find_submitted(connection, planned, given)  # somebody may have been faster
            if known is not None:
                return known
            return await write_operation(
                connection, planned, given, requested_by=name, state=state, journal=parts.journal, clock=parts.clock
            )

        return await parts.store.grouped(write)

    async def _steer(
        self,
        operation_id: UUID,
        work: Callable[[Steering, OperationRecord], Awaitable[None]],
        *,
        permission: Permission = Permission.OPERATE,
    ) -> OperationRecord:
        parts = self._parts

        async def write(connection: AsyncConnection) -> OperationRecord:
            record = await self._visible(connection, operation_id)
            self._require(permission, record.planned.plan.target, f"operation {operation_id}")
            steering = Steering(
                connection=connection,
                journal=parts.journal,
                actor=self._principal.name,
                at=parts.clock.now(),
            )
            await work(steering, record)
            return await load(connection, operation_id)

        return await self._told(await parts.store.grouped(write))

    async def _released(self, operation_id: UUID) -> OperationRecord:
        parts, actor = self._parts, self._principal.name
        return await self._told(
            await parts.store.grouped(
                lambda one: release_approved(one, operation_id, actor=actor, journal=parts.journal, at=parts.clock.now())
            )
        )

    async def _told(self, record: OperationRecord) -> OperationRecord:
        """Tell the dispatcher of what can run; a start that somebody put off is found by the sweeper."""
        is_due = record.not_before is None or record.not_before <= self._parts.clock.now()
        is_held = record.state is OperationState.PAUSED and record.hold is not None and record.hold.is_gate
        if is_due and (record.state in CLAIMABLE or is_held):
            await self._parts.dispatcher.dispatch(record.id, zone=record.zone, priority=record.priority)
        return record

    async def _visible(self, connection: AsyncConnection, operation_id: UUID) -> OperationRecord:
        record = await load(connection, operation_id)
        if not self._may_see(record.planned.plan.target):
            raise NoSuchOperation(f"no operation {operation_id}", hint="dbre op list")
        return record

    def _may_see(self, target: str) -> bool:
        return self._principal.may(Permission.READ, labels_of(target, self._parts.fleet))

    def _require(self, permission: Permission, target: str, what: str) -> None:
        self._principal.require(permission, labels_of(target, self._parts.fleet), what=printable(what, limit=300))

    def _require_asked(self, kind: str, asked: Mapping[str, Any]) -> None:
        """Before a target is looked at: most inputs name their cluster."""
        cluster = asked.get("cluster")
        if isinstance(cluster, str) and cluster:
            self._require(Permission.OPERATE, f"cluster/{cluster}", f"{kind} on cluster {cluster}")
        else:
            self._principal.require(Permission.OPERATE, what=printable(kind, limit=100))

    def _require_approver(self, record: OperationRecord) -> None:
        labels = labels_of(record.planned.plan.target, self._parts.fleet)
        require_approver(self._principal, requested_by=record.requested_by, labels=labels, what=f"operation {record.id}")

    async def _check_overrides(self, planned: PlannedOperation, requests: Sequence[OverrideRequest]) -> None:
        decisions = await self._ask(planned) if requests else ()
        for one in requests:
            self._require(Permission.OVERRIDE, planned.plan.target, f"gate {one.gate} for {planned.plan.target}")
            check_override(one, self._parts.gates)
            self._require_other_eyes(one.gate, decisions, requested_by=self._principal.name)

    def _require_other_eyes(self, gate: str, decisions: Sequence[GateDecision], *, requested_by: str) -> None:
        """Nobody bypasses the consent of others to what they asked for themselves, unless there is nobody else."""
        wants_consent = approvals_wanted([one for one in decisions if one.gate == gate])
        if wants_consent and self._principal.kind is not PrincipalKind.LOCAL and is_same(self._principal.name, requested_by):
            raise Denied(
                f"{self._principal.name} asked for it, and gate {gate} wants the consent of somebody else",
                hint="another administrator overrides it, or an approver consents: dbre op approve ID",
                context={"gate": gate, "requested_by": requested_by},
            )
