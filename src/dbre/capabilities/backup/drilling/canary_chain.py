"""The canary chain of a restored server against what was witnessed; arithmetic only (backup.md 4.7)."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from dbre.capabilities.backup.model import WitnessedCanary
from dbre.core.text import counted
from dbre.ports.backup.model import LogPosition
from dbre.ports.canary import CanaryRow
from dbre.ports.restored_checks import CheckOutcome

__all__ = ["ChainBounds", "ChainFinding", "compare_chain"]

_IN_FLIGHT = timedelta(seconds=10)
"""A row gets its time before it is committed: the last one before the target may have been committed after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainBounds:
    """Which rows must be there, and which must not."""

    until: datetime | None = None  # a target in time: nothing that was written later is there
    held: LogPosition | None = None  # what was acknowledged up to here is in the log that was replayed
    limit: LogPosition | None = None  # a target that is a position: nothing that was written behind it is there


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFinding:
    """What the comparison says. ``newest_at``: the time of the newest row that was witnessed and came back."""

    outcome: CheckOutcome
    detail: str
    newest_at: datetime | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def compare_chain(rows: Sequence[CanaryRow], witnesses: Sequence[WitnessedCanary], bounds: ChainBounds) -> ChainFinding:
    """Whether the chain is unbroken, was witnessed, ends where the target is, and lacks nothing that was acknowledged before.

    ``witnesses`` are those of the line of timelines that was recovered.
    """
    chain = sorted(rows, key=lambda one: one.sequence)
    known = {one.sequence: one for one in witnesses}
    expected = _expected(witnesses, bounds)
    seen = [one for one in chain if one.sequence in known]
    newest = chain[-1] if chain else None
    evidence: dict[str, Any] = {
        "rows": len(chain),
        "witnessed": len(seen),
        "newest_sequence": newest.sequence if newest else None,
        "newest_at": newest.at.isoformat() if newest else None,
        "newest_hash": newest.hash if newest else None,
        "expected_sequence": expected.sequence if expected else None,
    }
    newest_at = seen[-1].at if seen else None
    faults = [*_broken(chain), *_unlike(seen, known), *_too_new(chain, known, bounds), *_missing(newest, expected, bounds)]
    if faults:
        more = f"; and {counted(len(faults) - 1, 'more fault')}" if len(faults) > 1 else ""
        evidence["faults"] = faults[:20]
        return ChainFinding(outcome=CheckOutcome.FAIL, detail=faults[0] + more, newest_at=newest_at, evidence=evidence)
    if newest is None or not seen:
        said = "nobody witnessed a row of it before the target" if chain else "there is no canary chain"
        return ChainFinding(outcome=CheckOutcome.INCONCLUSIVE, detail=said, newest_at=None, evidence=evidence)
    detail = (
        f"{counted(len(chain), 'row')} without a break up to row {newest.sequence} of {_utc(newest.at)}, "
        f"{len(seen)} of them witnessed; nothing later is there"
    )
    return ChainFinding(outcome=CheckOutcome.PASS, detail=detail, newest_at=newest_at, evidence=evidence)


def _expected(witnesses: Sequence[WitnessedCanary], bounds: ChainBounds) -> WitnessedCanary | None:
    """The newest row that must be there: acknowledged before the target, in the log that there is."""
    if bounds.until is None and bounds.held is None:
        return None
    return max((one for one in witnesses if _is_due(one, bounds)), key=lambda one: one.sequence, default=None)


def _is_due(one: WitnessedCanary, bounds: ChainBounds) -> bool:
    if bounds.until is not None and one.at > bounds.until:
        return False
    if bounds.held is None:
        return True
    if one.position is None:  # where it lies in the log is not known: only a target in time can ask for it
        return bounds.until is not None
    return one.position.value <= bounds.held.value


def _broken(chain: Sequence[CanaryRow]) -> Iterator[str]:
    for one in chain:
        if hashlib.sha256(one.text()).hexdigest() != one.hash:
            yield f"row {one.sequence} of {_utc(one.at)} was changed: its hash is not that of its contents"
    for before, after in pairwise(chain):
        if after.sequence != before.sequence + 1:
            yield f"the chain has a hole: row {after.sequence} follows row {before.sequence}"
        elif after.previous != before.hash:
            yield f"the chain is broken: row {after.sequence} does not follow the row {before.sequence} that is there"


def _unlike(seen: Sequence[CanaryRow], known: Mapping[int, WitnessedCanary]) -> Iterator[str]:
    for one in seen:
        witness = known[one.sequence]
        if one.hash != witness.hash or one.at != witness.at:
            yield (
                f"row {one.sequence} is another one than was acknowledged at {_utc(witness.at)}: a tampered chain, or another "
                "database"
            )


def _too_new(chain: Sequence[CanaryRow], known: Mapping[int, WitnessedCanary], bounds: ChainBounds) -> Iterator[str]:
    newest = chain[-1] if chain else None
    if newest is not None and bounds.until is not None and newest.at > bounds.until:
        late = (newest.at - bounds.until).total_seconds()
        yield f"row {newest.sequence} of {_utc(newest.at)} is {late:.3f} s newer than the target {_utc(bounds.until)}"
    if bounds.limit is None:
        return
    for one in chain:
        before = known.get(one.sequence - 1)
        if before is not None and before.position is not None and before.position.value > bounds.limit.value:
            yield f"row {one.sequence} was written behind the target {bounds.limit.text}"


def _missing(newest: CanaryRow | None, expected: WitnessedCanary | None, bounds: ChainBounds) -> Iterator[str]:
    if expected is None or (newest is not None and newest.sequence >= expected.sequence):
        return
    in_flight = bounds.until is not None and bounds.until - expected.at <= _IN_FLIGHT
    if newest is not None and newest.sequence == expected.sequence - 1 and in_flight:
        return
    came = f"the newest that came back is row {newest.sequence} of {_utc(newest.at)}" if newest else "no row came back"
    yield f"row {expected.sequence}, acknowledged at {_utc(expected.at)}, before the target, is missing: {came}"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z"
