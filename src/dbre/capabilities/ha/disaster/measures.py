"""What one rehearsal, switch, failover or failback showed, as it is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from dbre.core.units import format_duration

__all__ = ["Action", "DisasterRun", "problems_of"]


class Action(StrEnum):
    """What was done with a plan."""

    REHEARSE = "rehearse"
    SWITCH = "switch"
    FAILOVER = "failover"
    FAILBACK = "failback"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisasterRun:
    """Unknown is None. What is promised is kept beside what was measured: plans change."""

    action: str
    site_before: str | None
    site_after: str | None
    primary_before: str | None
    primary_after: str | None
    began_at: str
    rpo_seconds: float  # promised
    rto_seconds: float
    lost_bytes: int | None = None  # a rehearsal: what would have been lost at that moment
    lost_transactions: int | None = None
    lost_seconds: float | None = None
    loss: str | None = None  # in words
    achieved_rto_seconds: float | None = None  # for which nobody could write; a rehearsal measures none
    write_seconds: float | None = None  # 95 of 100 synthetic writes were read back so soon
    attested_by: str | None = None
    attested: str | None = None
    failed: tuple[str, ...] = ()  # what did not hold

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "failed": list(self.failed)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Back from ``document``; keys that another version wrote are left out."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "failed": tuple(known.get("failed", ()))})


def problems_of(run: DisasterRun) -> list[str]:
    """What did not hold, and which promise was not kept, in words.

    >>> run = DisasterRun(action="switch", site_before="a", site_after="b", primary_before="x", primary_after="y",
    ...     began_at="2026-01-01T00:00:00+00:00", rpo_seconds=5.0, rto_seconds=1.0, achieved_rto_seconds=2.0)
    >>> problems_of(run)
    ['nobody could write for 2.0s, and 1.0s is promised']
    """
    found = list(run.failed)
    if run.achieved_rto_seconds is not None and run.achieved_rto_seconds > run.rto_seconds:
        found.append(
            f"nobody could write for {format_duration(round(run.achieved_rto_seconds, 3))}, "
            f"and {format_duration(run.rto_seconds)} is promised"
        )
    if run.lost_seconds is not None and run.lost_seconds > run.rpo_seconds:
        found.append(
            f"what is lost is up to {format_duration(round(run.lost_seconds, 3))} old, "
            f"and {format_duration(run.rpo_seconds)} is promised"
        )
    elif run.lost_seconds is None and run.action == Action.FAILOVER:
        found.append(f"nobody knows how old what is lost is, and {format_duration(run.rpo_seconds)} is promised")
    return found
