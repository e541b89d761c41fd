"""What is proved of the backups of a cluster, answered line by line as the weekly checklist asks; arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, Drill, DrillVerdict, SetState
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.ports.backup.model import CopyKind
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["Answer", "Proof", "ProofLine", "proof_of"]

_FULLS = (CopyKind.FULL, CopyKind.LOGICAL, CopyKind.SNAPSHOT)


class Answer(StrEnum):
    """What is said to one line of the checklist."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # it was not looked at, or could not be: it counts as no


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofLine:
    """One line of the checklist."""

    question: str
    answer: Answer
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The whole checklist of one cluster, from its last drill."""

    cluster: str
    drill: Drill | None
    is_fresh: bool  # the last drill passed, and is no older than the policy wants
    lines: tuple[ProofLine, ...]

    @property
    def holds(self) -> bool:
        """Whether every line is answered with yes."""
        return self.is_fresh and all(one.answer is Answer.YES for one in self.lines)


def proof_of(
    cluster: str,
    policy: PolicyDocument | None,
    catalog: Catalog,
    drill: Drill | None,
    *,
    now: datetime,
    has_evidence: bool | None,
) -> Proof:
    """Answer the checklist. ``drill`` is the last one, ``has_evidence`` whether its operation is in the journal."""
    limit = policy.drill.proof_age if policy is not None else None
    is_fresh = drill is not None and drill.verdict is DrillVerdict.PASS and (limit is None or now - drill.ended_at <= limit)
    lines = (
        _recent(drill, policy, now),
        _copies(catalog, drill),
        _isolated(drill),
        _group(drill, "checksums and indexes are sound", ("checksums", "amcheck")),
        _compared(drill),
        _recovery_point(drill, policy),
        _recovery_time(drill, policy),
        _evidence(drill, has_evidence=has_evidence),
    )
    return Proof(cluster=cluster, drill=drill, is_fresh=is_fresh, lines=lines)


def _recent(drill: Drill | None, policy: PolicyDocument | None, now: datetime) -> ProofLine:
    question = "a restore was proved lately"
    if drill is None:
        return ProofLine(question=question, answer=Answer.NO, detail="there was no drill yet")
    age = (now - drill.ended_at).total_seconds()
    told = f"{drill.verdict.value} {format_duration(max(0.0, age))} ago"
    if policy is None:
        return ProofLine(question=question, answer=Answer.UNKNOWN, detail=f"{told}; no policy says how old it may be")
    limit = policy.drill.proof_age.total_seconds()
    is_good = drill.verdict is DrillVerdict.PASS and age <= limit
    reason = f": {drill.reason}" if drill.verdict is not DrillVerdict.PASS else ""
    detail = f"{told}{reason}; the limit is {format_duration(limit)}"
    return ProofLine(question=question, answer=Answer.YES if is_good else Answer.NO, detail=detail)


def _copies(catalog: Catalog, drill: Drill | None) -> ProofLine:
    """The latest full copy and every increment on it: sealed means that each was verified before it was stored."""
    question = "the latest full copy and its increments are verified"
    sets = [one for one in catalog.sets if one.state not in (SetState.DELETED, SetState.TOMBSTONED)]
    fulls = [one for one in sets if one.kind in _FULLS and one.state is SetState.SEALED]
    if not fulls:
        return ProofLine(question=question, answer=Answer.NO, detail="there is no sealed full copy")
    latest = fulls[-1]
    chain = [latest, *_descendants(latest, sets)]
    loose = [one for one in chain if one.state not in (SetState.SEALED, SetState.RUNNING, SetState.COPIED, SetState.VERIFIED)]
    if loose:
        detail = f"set {loose[0].id} is {loose[0].state.value}"
        return ProofLine(question=question, answer=Answer.NO, detail=detail)
    is_drilled = drill is not None and any(one.id == drill.set_id for one in chain) and _passed(drill, "copies")
    sealed = [one for one in chain if one.state is SetState.SEALED]
    again = "; read back and verified again by the last drill" if is_drilled else "; the last drill read another set"
    detail = f"full {latest.id} with {counted(len(sealed) - 1, 'increment')}, each verified before it was stored{again}"
    return ProofLine(question=question, answer=Answer.YES, detail=detail)


def _descendants(root: BackupSet, sets: Sequence[BackupSet]) -> list[BackupSet]:
    known, found = {root.id}, []
    for one in sets:
        if one.parent_id in known:
            known.add(one.id)
            found.append(one)
    return found


def _isolated(drill: Drill | None) -> ProofLine:
    question = "it was restored apart from everything else"
    result = _find(drill, "recovery")
    if result is None or result.outcome is not CheckOutcome.PASS:
        return ProofLine(question=question, answer=Answer.NO, detail="no server came to its target")
    if result.evidence.get("is_jailed"):
        return ProofLine(question=question, answer=Answer.YES, detail=result.detail)
    return ProofLine(question=question, answer=Answer.UNKNOWN, detail=f"no network namespace: {result.detail}")


def _group(drill: Drill | None, question: str, names: tuple[str, ...]) -> ProofLine:
    found = [one for one in drill.results if one.name.partition("/")[0] in names] if drill is not None else []
    for outcome, answer in ((CheckOutcome.FAIL, Answer.NO), (CheckOutcome.PASS, Answer.YES)):
        those = [one for one in found if one.outcome is outcome]
        if those:
            unknown = [one.detail for one in found if one.outcome is CheckOutcome.INCONCLUSIVE]
            rest = f"; not looked at: {unknown[0]}" if unknown and answer is Answer.YES else ""
            return ProofLine(question=question, answer=answer, detail="; ".join(one.detail for one in those[:3]) + rest)
    detail = found[0].detail if found else "not looked at"
    return ProofLine(question=question, answer=Answer.UNKNOWN, detail=detail)


def _compared(drill: Drill | None) -> ProofLine:
    return _group(drill, "the data are those that were acknowledged", ("canary", "rows", "queries"))


def _recovery_point(drill: Drill | None, policy: PolicyDocument | None) -> ProofLine:
    question = "the recovery point is within its objective"
    seconds = drill.recovery_point_seconds if drill is not None else None
    return _objective(question, seconds, policy.recovery_point.total_seconds() if policy is not None else None, "not known")


def _recovery_time(drill: Drill | None, policy: PolicyDocument | None) -> ProofLine:
    question = "the recovery time is within its objective"
    seconds = drill.recovery_time_seconds if drill is not None else None
    unknown = "not measured: a fast drill is no measure of time" if drill is not None and drill.mode == "fast" else "not known"
    return _objective(question, seconds, policy.recovery_time.total_seconds() if policy is not None else None, unknown)


def _objective(question: str, seconds: float | None, limit: float | None, unknown: str) -> ProofLine:
    if seconds is None or limit is None:
        return ProofLine(question=question, answer=Answer.UNKNOWN, detail=unknown if seconds is None else "no policy sets one")
    detail = f"{format_duration(seconds)} of at most {format_duration(limit)}"
    return ProofLine(question=question, answer=Answer.YES if seconds <= limit else Answer.NO, detail=detail)


def _evidence(drill: Drill | None, *, has_evidence: bool | None) -> ProofLine:
    question = "the evidence is archived"
    if drill is None or drill.operation_id is None:
        return ProofLine(question=question, answer=Answer.NO, detail="there is none")
    how = f"dbre op evidence {drill.operation_id} gives the signed pack"
    if has_evidence is None:
        return ProofLine(question=question, answer=Answer.UNKNOWN, detail="the journal was not asked")
    if not has_evidence:
        return ProofLine(question=question, answer=Answer.NO, detail=f"operation {drill.operation_id} is not in the journal")
    return ProofLine(question=question, answer=Answer.YES, detail=how)


def _find(drill: Drill | None, name: str) -> RestoredResult | None:
    return next((one for one in drill.results if one.name == name), None) if drill is not None else None


def _passed(drill: Drill, name: str) -> bool:
    found = _find(drill, name)
    return found is not None and found.outcome is CheckOutcome.PASS
