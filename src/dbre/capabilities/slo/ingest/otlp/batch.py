"""What one request comes to: events for the intake, and what is remembered of them once they are durable."""

from collections.abc import Callable
from dataclasses import dataclass

from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.otlp.attributes import AttributeTable
from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.otlp.limits import MAX_EVENTS, MAX_POINTS
from dbre.client.outcome import Outcome

__all__ = ["Batch", "BatchBuilder", "Event"]

_REASONS_KEPT = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or many of the same kind."""

    at_ms: int
    outcome: Outcome
    duration_ms: float | None
    weight: int
    slo: str | None
    attributes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events of one request. ``keys`` recognise what is sent again; ``settle`` is called once the events are durable."""

    columns: EventColumns
    keys: tuple[bytes, ...]
    seen: int  # spans or points
    rejected: int
    message: str
    settle: Callable[[], None]


class BatchBuilder:
    """Gathers the events of one request; refuses those that make no sense, one by one."""

    def __init__(self, table: AttributeTable) -> None:
        self.table = table
        self.keys: list[bytes] = []
        self._events: list[Event] = []
        self._seen = 0
        self._rejected = 0
        self._reasons: dict[str, None] = {}

    def count(self) -> None:
        """One more span or point was read. Raises: OtlpRefusal above the limit."""
        self._seen += 1
        if self._seen > MAX_POINTS:
            raise OtlpRefusal(413, f"more than {MAX_POINTS} spans or data points in a request: send smaller batches")

    def reject(self, reason: str) -> None:
        """A span or point is left out, and the sender is told."""
        self._rejected += 1
        self._reasons[reason] = None

    def warn(self, message: str) -> None:
        """The sender is told something though nothing is left out."""
        self._reasons[message] = None

    def add(self, event: Event) -> None:
        """Count an event that some SLO may match."""
        if event.slo is None and event.attributes is None:
            return
        if len(self._events) >= MAX_EVENTS:
            raise OtlpRefusal(413, f"more than {MAX_EVENTS} buckets with events in a request: send smaller batches")
        self._events.append(event)

    def finish(self, settle: Callable[[], None]) -> Batch:
        """The batch."""
        events = self._events
        columns = EventColumns(
            at_ms=[one.at_ms for one in events],
            is_good=[one.outcome is Outcome.GOOD for one in events],
            is_valid=[one.outcome is not Outcome.INVALID for one in events],
            duration_ms=[one.duration_ms for one in events],
            weight=[one.weight for one in events],
            slo=[one.slo for one in events],
            attributes=[one.attributes for one in events],
            attribute_sets=self.table.sets,
        )
        reasons = list(self._reasons)
        message = "; ".join(reasons[:_REASONS_KEPT])
        if len(reasons) > _REASONS_KEPT:
            message += f"; and {len(reasons) - _REASONS_KEPT} other reasons"
        return Batch(
            columns=columns,
            keys=tuple(self.keys),
            seen=self._seen,
            rejected=self._rejected,
            message=message,
            settle=settle,
        )
