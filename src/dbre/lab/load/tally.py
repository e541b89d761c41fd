"""Counting operations by the moment at which they were due. Arithmetic only: no clock, no I/O."""

from array import array
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil

from dbre.lab.load.model import LoadKind, LoadSummary, Outage, SecondCount

__all__ = ["FAILED", "MISSED", "PENDING", "SUCCEEDED", "Tally", "quantile"]

PENDING, SUCCEEDED, FAILED, MISSED = range(4)


def quantile(ordered: "array[float]", ratio: float) -> float | None:
    """The smallest value that at least ``ratio`` of the values do not exceed (nearest rank); None of none.

    >>> quantile(array("d", [1, 2, 3, 4]), 0.5)
    2.0
    """
    return ordered[max(ceil(ratio * len(ordered)) - 1, 0)] if ordered else None


class Tally:
    """The operations of one kind. Operation ``n`` was due ``offset + n * interval`` seconds after the start of the run.

    Nine bytes an operation, so that a run of days fits in memory.
    """

    def __init__(self, kind: LoadKind, *, offset_seconds: float, interval_seconds: float, late_seconds: float) -> None:
        self.kind = kind
        self._offset = offset_seconds
        self._interval = interval_seconds
        self._late = late_seconds
        self._outcomes = array("b")
        self._latencies = array("d")
        self._reasons: dict[int, str] = {}

    def due(self, number: int) -> float:
        """When an operation is due, in seconds after the start of the run."""
        return self._offset + number * self._interval

    def begin(self) -> int:
        """Count one more scheduled operation; returns its number."""
        self._outcomes.append(PENDING)
        self._latencies.append(0.0)
        return len(self._outcomes) - 1

    def succeed(self, number: int, latency_seconds: float) -> None:
        """An operation was answered that many seconds after it was due."""
        self._outcomes[number] = SUCCEEDED
        self._latencies[number] = latency_seconds

    def fail(self, number: int, reason: str) -> None:
        """An operation failed."""
        self._outcomes[number] = FAILED
        self._reasons[number] = reason

    def miss(self, number: int) -> None:
        """The client did not get to try."""
        self._outcomes[number] = MISSED

    def numbers(self, outcome: int) -> tuple[int, ...]:
        """The operations with one outcome, in the order of the schedule."""
        return tuple(number for number, one in enumerate(self._outcomes) if one == outcome)

    def summary(self, *, started_at: datetime, end_seconds: float) -> LoadSummary:
        """What became of all operations that are settled; pending ones do not count as scheduled yet."""
        counts = Counter(self._outcomes)
        latencies = array("d", sorted(self._latencies[number] for number in self.numbers(SUCCEEDED)))
        return LoadSummary(
            kind=self.kind,
            scheduled=len(self._outcomes) - counts[PENDING],
            succeeded=counts[SUCCEEDED],
            failed=counts[FAILED],
            missed=counts[MISSED],
            late=sum(1 for latency in latencies if latency > self._late),
            outages=tuple(self._outages(started_at, end_seconds)),
            p50_seconds=quantile(latencies, 0.5),
            p99_seconds=quantile(latencies, 0.99),
            max_seconds=latencies[-1] if latencies else None,
            seconds=tuple(self._seconds()),
            reasons=tuple(Counter(self._reasons.values()).most_common()),
        )

    def _outages(self, started_at: datetime, end_seconds: float) -> Iterator[Outage]:
        """Runs of failures. A missed operation neither begins nor ends one: nobody knows what it would have met."""
        first: int | None = None
        failed = 0
        for number, outcome in enumerate(self._outcomes):
            if outcome == FAILED:
                first = number if first is None else first
                failed += 1
            elif outcome == SUCCEEDED and first is not None:
                yield self._outage(started_at, first, self.due(number), failed)
                first, failed = None, 0
        if first is not None:
            yield self._outage(started_at, first, max(end_seconds, self.due(first)), failed)

    def _outage(self, started_at: datetime, first: int, end_seconds: float, failed: int) -> Outage:
        return Outage(
            kind=self.kind,
            started_at=started_at + timedelta(seconds=self.due(first)),
            ended_at=started_at + timedelta(seconds=end_seconds),
            failed_operations=failed,
            reason=self._reasons[first],
        )

    def _seconds(self) -> Iterator[SecondCount]:
        if self._outcomes:
            yield from map(self.second, range(int(self.due(len(self._outcomes) - 1)) + 1))

    def second(self, second: int) -> SecondCount:
        """What became of the operations that were due in one second of the run."""
        first = max(ceil((second - self._offset) / self._interval), 0)
        last = max(ceil((second + 1 - self._offset) / self._interval), 0)
        here = range(first, min(last, len(self._outcomes)))
        succeeded = [number for number in here if self._outcomes[number] == SUCCEEDED]
        return SecondCount(
            second=second,
            succeeded=len(succeeded),
            failed=sum(1 for number in here if self._outcomes[number] == FAILED),
            late=sum(1 for number in succeeded if self._latencies[number] > self._late),
        )
