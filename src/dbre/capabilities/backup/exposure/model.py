"""What would be lost if the servers of a cluster burned down now. None is unknown, 0 is a measured zero."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbre.ports.backup.model import LogPosition

__all__ = ["Exposure", "Tier", "TierExposure"]


class Tier(StrEnum):
    """How safe log is that has come so far."""

    STREAM = "stream"  # durable with the receiver
    SPOOL = "spool"  # complete files, durable on the machine of the control plane
    VAULT = "vault"  # in every vault of the policy


@dataclass(frozen=True, slots=True, kw_only=True)
class TierExposure:
    """What would be lost if only what has come to this tier were left."""

    tier: Tier
    position: LogPosition | None  # up to where it can be recovered, without a hole, from a sealed set
    bytes: int | None
    seconds: float | None  # age of the oldest change that is not there; never told shorter than it is
    reason_unknown: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The exposure of one cluster at one moment: of the best tier that its policy has, and of each one."""

    cluster: str
    at: datetime
    position: LogPosition | None  # where the log of the server ends
    bytes: int | None
    seconds: float | None
    reason_unknown: str | None
    tiers: tuple[TierExposure, ...]

    def is_within(self, limit_seconds: float) -> bool:
        """Whether no more is exposed than that; what is unknown is not."""
        return self.seconds is not None and self.seconds <= limit_seconds
