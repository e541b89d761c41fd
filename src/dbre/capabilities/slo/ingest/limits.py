"""How much the intake takes at most."""

from dataclasses import dataclass

__all__ = ["IntakeLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """Bounds of memory, disk and time."""

    queued_bytes: int = 32 * 2**20  # of records that wait for the disk
    free_bytes: int = 256 * 2**20  # on the disk of the log: with less nothing is taken in
    segment_bytes: int = 64 * 2**20
    future_ms: int = 300_000  # how far ahead of ours the clock of a producer may be
    ack_seconds: float = 30.0  # how long a sender waits for the disk
