"""SLOs that count events, a sink that keeps what it is given, and an intake between them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from slo_kit import cluster

from dbre.capabilities.slo.counting import CountedSlot, SourceMark
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.ingest.aggregation import LatencyPart
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.histogram import LatencyHistogram
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.limits import IntakeLimits
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.fleet import Fleet
from dbre.testing.clock import FakeClock

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
FLEET = Fleet(clusters=(cluster("orders", app="shop"), cluster("billing")))
WINDOW = RollingWindow(seconds=30 * 86_400)


def slo(name: str, *, limit_ms: int | None = None, **source) -> Definition:
    kind = SliKind.AVAILABILITY if limit_ms is None else SliKind.LATENCY
    sli = Sli(kind=kind, limit_ms=limit_ms, source=EventSource(**source))
    return Definition(name=name, sli=sli, target=Decimal("0.999"), window=WINDOW)


DEFINITIONS = (
    slo("requests"),
    slo("fast", limit_ms=100),
    slo("tenants", group_attribute="tenant"),
    slo("described", match=(("service", ("checkout", "cart")),)),
)


def matcher() -> Matcher:
    return Matcher(DEFINITIONS, FLEET)


def events(count: int = 10, *, slo: str = "requests@orders", at_ms: int = NOW_MS, bad: int = 0, ms: float | None = None):
    return EventColumns(
        at_ms=[at_ms] * count,
        is_good=[index >= bad for index in range(count)],
        duration_ms=() if ms is None else [ms] * count,
        slo=[slo] * count,
    )


@dataclass
class KeepingSink:
    """Counts what it is given (``CountSink``); ``store`` says that it has all of it on the disk."""

    counts: Counter = field(default_factory=Counter)
    marks: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    alive: list[tuple[str, str]] = field(default_factory=list)

    def take(self, counted: Sequence[CountedSlot], *, mark: SourceMark | None = None) -> None:
        for one in counted:
            self.counts[one.slo, one.cluster, one.group, "good"] += one.counts.good
            self.counts[one.slo, one.cluster, one.group, "bad"] += one.counts.bad
            self.counts[one.slo, one.cluster, one.group, "excluded"] += one.counts.excluded
        if mark is not None:
            self.marks[mark.source] = mark.position

    def heard(self, slo: str, cluster: str) -> None:
        self.alive.append((slo, cluster))

    def stored_position(self, source: str) -> str | None:
        return self.stored.get(source)

    async def wait_until_started(self) -> None:
        await asyncio.sleep(0)

    def store(self) -> None:
        self.stored = dict(self.marks)

    def restarted(self) -> "KeepingSink":
        """What a successor knows: the marks that were stored, with the counts of that moment."""
        return KeepingSink(stored=dict(self.stored))

    @property
    def good(self) -> int:
        return sum(times for (*_, what), times in self.counts.items() if what == "good")


@dataclass
class KeepingLatencies:
    """As ``KeepingSink``, for histograms (``LatencySink``)."""

    histogram: LatencyHistogram = field(default_factory=LatencyHistogram)
    number: int = 0
    stored: int = 0

    def take(self, parts: Sequence[LatencyPart], *, epoch: bytes, number: int) -> None:
        assert len(epoch) == 16
        for one in parts:
            self.histogram.merge(one.histogram)
        self.number = number

    def stored_number(self, epoch: bytes) -> int:
        return self.stored if epoch else 0

    async def start(self) -> None:
        """Nothing to load."""

    async def tick(self) -> None:
        """Nothing to store."""

    async def finish(self) -> None:
        """Nothing to store."""


@asynccontextmanager
async def running(
    directory: Path,
    sink: KeepingSink | None = None,
    *,
    latencies: KeepingLatencies | None = None,
    limits: IntakeLimits | None = None,
) -> AsyncIterator[Intake]:
    """An intake that takes events in; its clock stands still."""
    intake = Intake(
        directory,
        matcher=matcher(),
        sink=sink or KeepingSink(),
        latencies=latencies or KeepingLatencies(),
        clock=FakeClock(NOW),
        limits=limits,
    )
    task = asyncio.ensure_future(intake.run())
    try:
        waiting = asyncio.ensure_future(intake.wait_until_ready())
        async with asyncio.timeout(30):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        yield intake
    finally:
        task.cancel()
        await asyncio.wait({task})


def total(found: Counts) -> int:
    return found.good + found.bad + found.excluded
