"""Who takes over, and what that loses: pure rules over what was seen of the replicas now and of the primary last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.positions import is_ahead
from dbre.core.text import counted
from dbre.core.units import format_bytes
from dbre.ports.topology import LogPosition

__all__ = ["Candidate", "LastWord", "Loss", "Ranked", "loss_of", "rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One instance that is not the primary, as it answers now."""

    name: str
    is_reachable: bool
    is_replica: bool = False
    system_id: str | None = None
    timeline: int | None = None
    received: LogPosition | None = None  # the furthest that it has, applied or not
    is_replay_paused: bool = False
    apply_delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWord:
    """What the primary told when it last told anything; None: nobody knows."""

    position: LogPosition | None = None
    system_id: str | None = None
    timeline: int | None = None
    synchronous: tuple[str, ...] = ()
    synchronous_needed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Candidates, the one to promote first; ``excluded`` says why the others are not."""

    order: tuple[Candidate, ...]
    excluded: Mapping[str, str]
    reasons: Mapping[str, str]  # of those in the order: why there

    @property
    def best(self) -> Candidate | None:
        """Whom to promote."""
        return self.order[0] if self.order else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What the candidate lacks of what the primary is known to have written. Unknown is None, never 0."""

    bytes: int | None = None
    transactions: int | None = None
    is_zero_promised: bool = False  # commits waited for a set of replicas of which enough are here

    @property
    def text(self) -> str:
        """One line with numbers."""
        if self.is_zero_promised:
            return "no acknowledged commit: each waited for replicas of which enough are here"
        parts = []
        if self.bytes is not None:
            parts.append(f"{format_bytes(self.bytes)} of the log")
        if self.transactions is not None:
            parts.append(counted(self.transactions, "transaction"))
        if not parts:
            return "unknown: nobody saw how far the primary was"
        return f"{' or '.join(parts)}, and what the primary wrote after it was last asked"

    def is_within(self, *, max_bytes: int, max_transactions: int) -> bool | None:
        """Whether it is at most what is allowed; None: nobody knows."""
        if self.is_zero_promised:
            return True
        if self.transactions is not None:
            return self.transactions <= max_transactions
        return None if self.bytes is None else self.bytes <= max_bytes


def rank(
    candidates: Sequence[Candidate],
    last: LastWord,
    *,
    prefer: Sequence[str] = (),
    never: Sequence[str] = (),
    wanted: str | None = None,
) -> Ranked:
    """The furthest first; among those that are equally far the preferred, then by name. ``wanted``: this one or nobody.

    Where commits waited for certain replicas, only these may take over: another one may lack what was acknowledged.
    """
    excluded: dict[str, str] = {}
    newest = max((one.timeline for one in candidates if one.is_replica and one.timeline is not None), default=None)
    fit: list[Candidate] = []
    for one in candidates:
        reason = _unfit(one, last, newest, never=never, wanted=wanted)
        if reason is None:
            fit.append(one)
        else:
            excluded[one.name] = reason
    order = sorted(fit, key=lambda one: _key(one, fit, prefer))
    reasons = {one.name: _reason(one, order, prefer) for one in order}
    return Ranked(order=tuple(order), excluded=excluded, reasons=reasons)


def _unfit(one: Candidate, last: LastWord, newest: int | None, *, never: Sequence[str], wanted: str | None) -> str | None:
    if not one.is_reachable:
        return "it does not answer"
    if not one.is_replica:
        return "it is no replica"
    if one.name in never:
        return "the configuration says never"
    if wanted is not None and one.name != wanted:
        return f"{wanted} was asked for"
    if last.system_id is not None and one.system_id is not None and one.system_id != last.system_id:
        return f"it is a copy of another system ({one.system_id}, not {last.system_id})"
    known = max((line for line in (newest, last.timeline) if line is not None), default=None)
    if known is not None and one.timeline is not None and one.timeline < known:
        return f"it is on timeline {one.timeline}, and {known} is the newest"
    if one.received is None:
        return "nobody knows how far it is"
    if one.apply_delay_seconds > 0:
        return f"it applies {one.apply_delay_seconds:g} s late on purpose"
    if last.synchronous_needed > 0 and one.name not in last.synchronous:
        names = ", ".join(last.synchronous) or "nobody"
        return f"commits did not wait for it, but for {last.synchronous_needed} of {names}"
    return None


def _key(one: Candidate, fit: Sequence[Candidate], prefer: Sequence[str]) -> tuple[int, int, str]:
    """How many others are ahead of it, then the preference."""
    ahead = sum(is_ahead(other.received, one.received) for other in fit)
    return ahead, prefer.index(one.name) if one.name in prefer else len(prefer), one.name


def _reason(one: Candidate, order: Sequence[Candidate], prefer: Sequence[str]) -> str:
    """Where it stands, and where several are equally far, what put it before or after the others."""
    best = order[0]
    if one.received is None or best.received is None:
        return "its position is unknown"
    behind = one.received.bytes_behind(best.received)
    if behind is not None and behind > 0:
        return f"{format_bytes(behind)} behind {best.name}"
    missing = one.received.transactions_behind(best.received) if behind is None else None
    if missing:
        return f"{counted(missing, 'transaction')} behind {best.name}"
    if one is not best:
        return f"as far as {best.name}, and after it by {'preference' if best.name in prefer else 'name'}"
    place = one.received.text or "nothing was written yet"
    equals = [other.name for other in order if other is not best and _is_as_far(other, best)]
    if not equals:
        return f"furthest: {place}"
    first = "preference" if one.name in prefer else "name"
    return f"furthest: {place}, as {', '.join(equals)}, and before {'them' if len(equals) > 1 else 'it'} by {first}"


def _is_as_far(one: Candidate, other: Candidate) -> bool:
    return not is_ahead(one.received, other.received) and not is_ahead(other.received, one.received)


def loss_of(candidate: Candidate, last: LastWord, reachable: Sequence[Candidate]) -> Loss:
    """What would be lost with this one. Of n replicas that commits could wait for, k of which each did, r are here.

    With r + k > n one of those here has every acknowledged commit, and so has the furthest of them.
    """
    here = [one for one in reachable if one.is_reachable and one.name in last.synchronous]
    n, k = len(last.synchronous), last.synchronous_needed
    is_furthest = candidate.name in last.synchronous and not any(is_ahead(other.received, candidate.received) for other in here)
    if 0 < k <= n and is_furthest and len(here) + k > n:
        return Loss(is_zero_promised=True, bytes=0)
    if last.position is None or candidate.received is None:
        return Loss()
    missing = candidate.received.bytes_behind(last.position)
    return Loss(
        bytes=max(0, missing) if missing is not None else None,
        transactions=candidate.received.transactions_behind(last.position),
    )
