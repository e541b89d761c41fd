"""How sources other than probes hand counts to the engine: in memory at once, in the store exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dbre.capabilities.slo.counts import Counts

__all__ = ["CountSink", "CountedSlot", "SourceMark"]


@dataclass(frozen=True, slots=True)
class CountedSlot:
    """Events of one SLO instance in one slot of 10 s; ``group`` is empty where the SLO has no groups."""

    slo: str
    cluster: str
    group: str
    slot: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class SourceMark:
    """How far a source has been counted; it is stored in the transaction that stores those counts, and only with it.

    A source that starts again asks for its mark and counts everything after it, so that nothing is lost and nothing doubled.
    """

    source: str  # ingest/<shard>, nats/<stream>/<consumer>, kafka/<topic>/<partition>, prometheus/<name>
    position: str  # in the source's own words


class CountSink(Protocol):
    """What the SLO engine offers to sources."""

    def take(self, counted: Sequence[CountedSlot], *, mark: SourceMark | None = None) -> None:
        """Count; does no I/O. Counts of an SLO that is not configured are left out and counted as unknown.

        Valid events are a sign of life; a source that sees, and has nothing but invalid ones, says so with ``heard``.
        """
        ...

    def heard(self, slo: str, cluster: str) -> None:
        """The source is alive, though it may have nothing to count: no traffic is then not lost telemetry."""
        ...

    def stored_position(self, source: str) -> str | None:
        """The position up to which the store is known to have the source's counts; None: nothing yet, or not loaded yet."""
        ...

    async def wait_until_started(self) -> None:
        """Return once history and marks are loaded: before that, ``stored_position`` means nothing."""
        ...
