"""How a cluster is set whose primary is chosen by a lease in a consensus store, and sets of such settings that were measured.

The names and the lowest values are Patroni's, which takes a lower one for the lowest without a word in its answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["FLOORS", "PRESETS", "LeaseSettings", "SynchronousMode", "wrong_settings"]


class SynchronousMode(StrEnum):
    """Whose acknowledgement a commit waits for."""

    OFF = "off"
    ON = "on"
    QUORUM = "quorum"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """What decides how long an outage lasts; times are seconds."""

    ttl: int
    loop_wait: int
    retry_timeout: int
    primary_start_timeout: int = 300  # how long a primary that crashed may try to come back before it is replaced
    synchronous_mode: SynchronousMode = SynchronousMode.OFF

    def as_document(self) -> dict[str, Any]:
        """As Patroni's dynamic configuration has it."""
        modes = {SynchronousMode.OFF: False, SynchronousMode.ON: True, SynchronousMode.QUORUM: "quorum"}
        return {
            "ttl": self.ttl,
            "loop_wait": self.loop_wait,
            "retry_timeout": self.retry_timeout,
            "primary_start_timeout": self.primary_start_timeout,
            "synchronous_mode": modes[self.synchronous_mode],
        }


FLOORS: Mapping[str, int] = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}
"""The lowest that Patroni takes."""

PRESETS: Mapping[str, LeaseSettings] = {
    "lan-fast": LeaseSettings(
        ttl=20, loop_wait=1, retry_timeout=3, primary_start_timeout=0, synchronous_mode=SynchronousMode.QUORUM
    ),
    "safe": LeaseSettings(ttl=30, loop_wait=10, retry_timeout=10),
    "wan": LeaseSettings(ttl=120, loop_wait=20, retry_timeout=30),
}


def wrong_settings(settings: LeaseSettings) -> Iterator[str]:
    """What the cluster manager does not take as it is written."""
    for name, lowest in FLOORS.items():
        value = getattr(settings, name)
        if value < lowest:
            yield f"{name} is {value} s, and {lowest} s is the lowest that is taken"
    needed = settings.loop_wait + 2 * settings.retry_timeout
    if needed > settings.ttl:
        yield (
            f"loop_wait + 2 x retry_timeout is {needed} s, and must not be more than ttl, which is {settings.ttl} s: "
            "a leader could lose its lease while it still tries to renew it"
        )
