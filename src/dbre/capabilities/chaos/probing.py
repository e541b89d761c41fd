"""Probes of an experiment: asked once, or again and again while faults are on."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbre.capabilities.chaos.documents import Experiment, Probe, ProbeKind, When
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import one_line, printable
from dbre.core.units import format_duration
from dbre.ports.contact import contact
from dbre.ports.session import Role

__all__ = ["Finding", "Tally", "ask", "ask_all", "until_all_hold"]

_AGAIN_SECONDS = 0.5
_SHARE = 0.8  # of a probe's time for each of several questions


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found once."""

    probe: str
    holds: bool
    detail: str

    def document(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"probe": self.probe, "holds": self.holds, "detail": self.detail}


@dataclass(slots=True)
class Tally:
    """What one probe found while faults were on."""

    probe: Probe
    good: int = 0
    bad: int = 0
    in_a_row: int = 0  # failures, up to now
    first_bad: str = ""

    first_bad_at: datetime | None = None
    since: datetime | None = None  # when the failures in a row began
    longest: float = 0.0  # seconds of the longest unbroken failure; up to the last that was seen

    def count(self, finding: Finding, *, at: datetime) -> None:
        """Add one answer, and when it was had."""
        if self.since is not None:
            self.longest = max(self.longest, (at - self.since).total_seconds())
        if finding.holds:
            self.good, self.in_a_row, self.since = self.good + 1, 0, None
            return
        self.bad, self.in_a_row = self.bad + 1, self.in_a_row + 1
        self.first_bad = self.first_bad or finding.detail
        self.first_bad_at, self.since = self.first_bad_at or at, self.since or at

    @property
    def holds(self) -> bool:
        """Whether it never failed for longer than it tolerates."""
        limit = self.probe.tolerates
        return not self.bad or (limit is not None and self.longest <= limit.total_seconds())

    def document(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "probe": self.probe.name,
            "good": self.good,
            "bad": self.bad,
            "first_bad": self.first_bad,
            "first_bad_at": self.first_bad_at.isoformat() if self.first_bad_at is not None else None,
            "longest_seconds": round(self.longest, 3),
            "holds": self.holds,
        }


async def ask(ground: ChaosGround, experiment: Experiment, probe: Probe) -> Finding:
    """Ask one probe; whatever goes wrong is an answer too, within its time."""
    limit = probe.within.total_seconds()
    try:
        async with asyncio.timeout(limit):
            holds, detail = await _answer(ground, experiment, probe)
    except TimeoutError:
        holds, detail = False, f"no answer within {format_duration(limit)}"
    except DbreError as error:
        holds, detail = False, printable(error.message, limit=300)
    return Finding(probe.name, holds, detail)


async def ask_all(ground: ChaosGround, experiment: Experiment, when: When) -> list[Finding]:
    """Ask every probe of a phase at once."""
    return list(await asyncio.gather(*(ask(ground, experiment, one) for one in experiment.hypothesis if when in one.when)))


async def until_all_hold(ground: ChaosGround, experiment: Experiment, when: When, *, limit_seconds: float) -> list[Finding]:
    """Ask again until all hold, or the time is over; gives the last answers."""
    deadline = ground.clock.monotonic() + limit_seconds
    while True:
        found = await ask_all(ground, experiment, when)
        if all(one.holds for one in found) or ground.clock.monotonic() >= deadline:
            return found
        await ground.clock.sleep(_AGAIN_SECONDS)


async def _answer(ground: ChaosGround, experiment: Experiment, probe: Probe) -> tuple[bool, str]:
    if probe.kind is ProbeKind.BURN:
        return await _burn(ground, experiment, probe)
    cluster = ground.fleet.cluster(experiment.cluster)
    if probe.kind is ProbeKind.PRIMARY:
        return await _primary(ground, cluster, probe.within.total_seconds())
    instance = next(one for one in cluster.instances if one.name == probe.instance)
    async with contact(ground.engines, cluster, instance.address, purpose="dbre:chaos:probe") as server:
        if probe.kind is ProbeKind.ANSWERS:
            found = await server.session.identify()
            return True, f"{found.product} {found.version_text}, {found.role}"
        row = await server.session.read_row(probe.query or "")
    return _within(probe, next(iter(row.values()), None))


async def _primary(ground: ChaosGround, cluster: Cluster, limit: float) -> tuple[bool, str]:
    """Ask all at once; whoever is silent keeps nobody from being seen."""

    async def one(instance: Instance) -> str | None:
        try:
            async with (
                asyncio.timeout(limit * _SHARE),
                contact(ground.engines, cluster, instance.address, purpose="dbre:chaos:probe") as server,
            ):
                return instance.name if (await server.session.identify()).role is Role.PRIMARY else None
        except (DbreError, TimeoutError):
            return None

    said = [name for name in await asyncio.gather(*(one(instance) for instance in cluster.instances)) if name is not None]
    return len(said) == 1, f"{' and '.join(said) or 'nobody'} is primary"


async def _burn(ground: ChaosGround, experiment: Experiment, probe: Probe) -> tuple[bool, str]:
    if ground.slo is None or probe.slo is None or probe.at_most is None:
        return False, "no SLO can be watched here"
    rate = (await ground.slo(probe.slo, experiment.cluster)).rate
    if rate is None:
        return False, f"nobody knows how fast {printable(probe.slo)} burns"
    return rate <= probe.at_most, f"burns {rate:.2f} times its budget's pace; at most {probe.at_most:g}"


def _within(probe: Probe, value: object) -> tuple[bool, str]:
    try:
        number = float(str(value))
    except ValueError:
        return False, f"{one_line(str(value), limit=100)} is no number"
    is_low = probe.at_least is not None and number < probe.at_least
    is_high = probe.at_most is not None and number > probe.at_most
    limits = [f"at least {probe.at_least:g}"] if probe.at_least is not None else []
    limits += [f"at most {probe.at_most:g}"] if probe.at_most is not None else []
    return not is_low and not is_high, f"{number:g}; {', '.join(limits)}"
