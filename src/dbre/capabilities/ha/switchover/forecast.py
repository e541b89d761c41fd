"""The next planned change of primary, computed before anybody asks for it: to whom, how long, and what is in the way."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.assessment import Assessment, assess
from dbre.capabilities.ha.switchover.checks import PreCheck, check_row
from dbre.capabilities.ha.switchover.ground import SwitchoverGround, Timing
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import counted, printable
from dbre.core.units import format_duration

__all__ = ["NextSwitchover", "is_worth_asking", "next_switchover", "unknown_switchover"]

_LIMIT_SECONDS = 5.0  # who asks who is primary waits no longer for who could be
_PURPOSE = "dbre:forecast"
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSwitchover:
    """What ``dbre ha switchover`` would do now. All text is printable."""

    cluster: str
    at: datetime
    primary: str | None = None
    candidate: str | None = None
    reason: str | None = None  # why this one
    by: str = "dbre"  # who would do it
    timing: Timing | None = None  # of the last one; None: never measured on this cluster
    why_slow: str | None = None
    in_the_way: tuple[PreCheck, ...] = field(default=())
    error: str | None = None  # why nobody knows

    @property
    def may_be(self) -> bool:
        """Whether it would begin."""
        return self.error is None and self.candidate is not None and not self.in_the_way

    @property
    def took(self) -> str:
        """How long clients could not write, in words."""
        if self.timing is None:
            return "; ".join(filter(None, ("not measured on this cluster yet", self.why_slow)))
        when = f"as on {self.timing.ended_at:%Y-%m-%d %H:%M} UTC"
        return f"about {format_duration(round(self.timing.seconds, 3))}, {when}"

    def document(self) -> dict[str, Any]:
        """For a program."""
        return {
            "at": self.at.isoformat(),
            "may_switch": self.may_be,
            "primary": self.primary,
            "candidate": self.candidate,
            "reason": self.reason,
            "by": self.by,
            "predicted_seconds": self.timing.seconds if self.timing is not None else None,
            "measured_at": self.timing.ended_at.isoformat() if self.timing is not None else None,
            "predicted_loss_bytes": 0 if self.may_be else None,
            "in_the_way": [dict(check_row(one)) for one in self.in_the_way],
            "error": self.error,
        }

    def lines(self) -> Sequence[str]:
        """A few lines, for people."""
        if self.error is not None:
            return (f"next switchover: not known: {self.error}",)
        if self.may_be:
            return (
                f"next switchover: {self.candidate} takes over from {self.primary}, by {self.by}",
                f"  no writes: {self.took}; loss: none",
            )
        lines = [f"next switchover: not now, {counted(len(self.in_the_way), 'check')} in the way"]
        for one in self.in_the_way[:_SHOWN]:
            lines.append(f"  {one.subject}: {one.rule.replace('_', ' ')}: {one.value} (wanted: {one.limit})")
            lines += [f"    remedy: {one.remedy}"] if one.remedy else []
        if len(self.in_the_way) > _SHOWN:
            lines.append(f"  and {len(self.in_the_way) - _SHOWN} more: dbre ha switchover {self.cluster} --check")
        return lines


def is_worth_asking(cluster: Cluster, topology: Topology) -> bool:
    """Whether anybody could take over: there are two instances, and one of them answers."""
    return len(cluster.instances) > 1 and any(one.view is not None for one in topology.nodes)


async def next_switchover(
    ground: SwitchoverGround, cluster: Cluster, *, seen: tuple[Topology, Sequence[ReplicaLag]] | None = None
) -> NextSwitchover:
    """Look as ``dbre ha switchover --check`` does, with a sweep that was done already; never longer than some seconds.

    Raises nothing of dbre's: what cannot be told is said in ``error``.
    """
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            found = await assess(ground, cluster, to=None, purpose=_PURPOSE, seen=seen)
    except TimeoutError:
        return unknown_switchover(ground, cluster, f"not everybody answered within {format_duration(_LIMIT_SECONDS)}")
    except DbreError as error:
        return unknown_switchover(ground, cluster, error.message)
    return _of(ground, cluster, found)


def unknown_switchover(ground: SwitchoverGround, cluster: Cluster, why: str) -> NextSwitchover:
    """Nobody knows."""
    return NextSwitchover(cluster=cluster.name, at=ground.clock.now(), error=printable(why, limit=300))


def _of(ground: SwitchoverGround, cluster: Cluster, found: Assessment) -> NextSwitchover:
    who: Mapping[str, Any] = {}
    if found.hand_over is not None:
        who = {"by": found.hand_over.name, "why_slow": found.hand_over.why_slow}
    chosen = found.candidate
    return NextSwitchover(
        cluster=cluster.name,
        at=ground.clock.now(),
        primary=found.primary,
        candidate=chosen.name if chosen is not None else None,
        reason=chosen.reason if chosen is not None else None,
        timing=found.timing,
        in_the_way=tuple(found.failed),
        **who,
    )
