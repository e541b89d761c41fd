"""A batch of events as columns: what every format and protocol is decoded to, and what is counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["EventColumns"]


@dataclass(slots=True)
class EventColumns:
    """Events of one batch; all columns have the same length.

    An event either names its SLO (``slo``: ``name@cluster`` or ``name@cluster/group``), or is described by ``attributes``
    (an index into ``attribute_sets``), which the SLOs with an event source match; the other column holds None for it.
    """

    at_ms: Sequence[int]  # Unix milliseconds
    is_good: Sequence[bool]  # False: failed, by the classification of error codes or by status
    is_valid: Sequence[bool] | None = None  # None: all; an invalid event (wrong input of a client) counts as excluded
    duration_ms: Sequence[float | None] = ()  # empty: unknown for all
    weight: Sequence[int] = ()  # empty: 1 each; an event that stands for many
    slo: Sequence[str | None] = ()
    attributes: Sequence[int | None] = ()
    attribute_sets: Sequence[tuple[tuple[str, str], ...]] = field(default=())  # each sorted by name

    def __len__(self) -> int:
        return len(self.at_ms)
