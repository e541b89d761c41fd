"""When slots are due: a fixed grid on the monotonic clock, spread over the interval by name."""

import hashlib
import math
from dataclasses import dataclass

from dbre.core.fleet import EndpointPurpose

__all__ = ["SlotGrid", "phase_of", "spread"]

_PURPOSE_OFFSET = {EndpointPurpose.WRITE: 0.0, EndpointPurpose.READ: 0.05, EndpointPurpose.REPLICA: 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotGrid:
    """The slots of one endpoint: slot ``k`` is due at ``anchor + k * interval + phase`` seconds, whatever happened before.

    Multiplied, never summed up, so that no rounding error grows with the hours.
    """

    anchor: float
    interval: float
    phase: float

    def due(self, slot: int) -> float:
        """The monotonic moment of a slot."""
        return self.anchor + slot * self.interval + self.phase

    def first_from(self, moment: float) -> int:
        """The first slot that is due at ``moment`` or later."""
        slot = math.ceil((moment - self.anchor - self.phase) / self.interval)
        return slot if self.due(slot) >= moment else slot + 1


def spread(name: str) -> float:
    """A number in [0, 1) that is the same for the same name in every process, and even over many names."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:6], "big") / 2**48


def phase_of(cluster: str, purpose: EndpointPurpose, *, interval: float) -> float:
    """Seconds after the start of each interval at which an endpoint is probed.

    Clusters are spread by a hash of their name. Within a cluster reads come 5 % and replica reads 10 % of an interval after
    the write, so that a replica is asked for a heartbeat that had just that time to arrive: staleness then reads a tenth of
    an interval on a healthy replica, not anything up to a whole one.

    >>> round(phase_of("orders", EndpointPurpose.REPLICA, interval=10.0) - phase_of("orders", EndpointPurpose.WRITE, interval=10.0), 6)
    1.0
    """  # noqa: E501 - one doctest line
    return ((spread(cluster) + _PURPOSE_OFFSET[purpose]) % 1.0) * interval
