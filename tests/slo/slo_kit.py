"""A state store on both databases, a fleet of one cluster, and an engine that is fed by hand."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.documents import AlertingDocument
from dbre.capabilities.slo.engine import SloEngine
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.tables import slo_slots
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.events import Event, EventLog, recent
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.core.secrets import Secret
from dbre.core.selector import Selector
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.ports.probe import Outcome, ProbeObservation
from dbre.testing.clock import FakeClock
from migrated_stores import state_database

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one test's store is."""

    url: str
    password: Secret | None = None

    def open(self, *, migrate: bool = True):
        return open_store(self.url, password=self.password, clock=FakeClock(START), migrate=migrate)


@pytest.fixture(params=["sqlite", "postgresql"])
def state_server(request: pytest.FixtureRequest) -> PostgresServer | None:
    return request.getfixturevalue("postgres15") if request.param == "postgresql" else None


@pytest.fixture
async def place(state_server: PostgresServer | None, migrated_file: Path, tmp_path: Path) -> AsyncIterator[Place]:
    if state_server is None:
        yield copied_place(migrated_file, tmp_path / "dbre.db")
        return
    async with state_database(state_server) as url:
        yield Place(url=url, password=state_server.password)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    async with place.open() as store:
        yield store


@pytest.fixture
async def sqlite_store(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Store]:
    async with copied_place(migrated_file, tmp_path / "one.db").open() as store:
        yield store


def copied_place(migrated: Path, path: Path) -> Place:
    shutil.copy(migrated, path)
    return Place(url=f"sqlite:///{path}")


def cluster(name: str = "orders", **labels: str) -> Cluster:
    address = Address("192.0.2.1", 5432)
    return Cluster(
        name=name,
        environment="prod",
        engine="postgresql",
        instances=(Instance(name=f"{name}-1", cluster=name, address=address),),
        endpoints=tuple(
            Endpoint(cluster=name, purpose=purpose, addresses=(address,))
            for purpose in (EndpointPurpose.WRITE, EndpointPurpose.READ)
        ),
        databases=("shop",),
        user="dbre",
        password=None,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"cluster": name, "environment": "prod", "engine": "postgresql", **labels},
    )


FLEET = Fleet(clusters=(cluster(),))


def definition(name: str = "orders-writes", *, target: str = "0.999", days: int = 30, **changes) -> Definition:
    given = {
        "selector": Selector.of({"environment": "prod"}),
        "sli": Sli(kind=SliKind.AVAILABILITY, purpose=EndpointPurpose.WRITE),
        "window": RollingWindow(seconds=days * 86_400),
        **changes,
    }
    return Definition(name=name, target=Decimal(target), **given)


@dataclass
class World:
    """A store, a clock and an engine; ``probe`` is one scheduled slot of the prober."""

    store: Store
    clock: FakeClock = field(default_factory=lambda: FakeClock(START))
    definitions: tuple[Definition, ...] = (definition(),)
    fleet: Fleet = FLEET
    interval: float = 10.0

    def __post_init__(self) -> None:
        self.engine = self.start()

    def start(self) -> SloEngine:
        """A new engine on the same store, as after a crash."""
        self.engine = SloEngine(
            self.store,
            self.definitions,
            fleet=self.fleet,
            probe_interval=timedelta(seconds=self.interval),
            clock=self.clock,
            events=EventLog(self.clock),
            alerting=AlertingDocument(evaluation_interval=timedelta(seconds=1)),
        )
        return self.engine

    def observe(
        self, outcome: Outcome, *, cluster: str = "orders", purpose: EndpointPurpose = EndpointPurpose.WRITE, **more
    ) -> None:
        self.engine.record(
            ProbeObservation(
                cluster=cluster,
                purpose=purpose,
                scheduled_at=self.clock.now(),
                interval_seconds=self.interval,
                outcome=outcome,
                latency_seconds=more.pop("latency", None),
                **more,
            )
        )

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks; nobody sleeps, so there is nobody to wake."""
        self.clock.step_monotonic(seconds)
        self.clock.step_wall(seconds)

    async def probe(self, outcome: Outcome, *, times: int = 1, tick: bool = True) -> None:
        """One observation each interval; the engine does its work after each, or after the last only."""
        for index in range(times):
            self.observe(outcome)
            if tick or index == times - 1:
                await self.engine.tick()
            self.wait(self.interval)

    async def status(self, name: str = "orders-writes") -> SloStatus:
        return next(one for one in await self.engine.status() if one.name == name)

    async def events(self) -> list[Event]:
        """Alert events, the oldest first."""
        async with self.store.read() as connection:
            found = await recent(connection, limit=1000)
        return [one for one in sorted(found, key=lambda one: one.sequence) if one.kind.startswith("slo.")]

    async def stored(self) -> dict[str, int]:
        """The sum over all stored slots."""
        names = ("good", "bad", "total", "missed", "excluded")
        async with self.store.read() as connection:
            sums = [func.sum(slo_slots.c[name] * slo_slots.c.length) for name in names]
            row = (await connection.execute(select(*sums))).one()
        return {name: int(value or 0) for name, value in zip(names, row, strict=True)}


@asynccontextmanager
async def failing(store: Store, *, after_commit: bool = False) -> AsyncIterator[None]:
    """A store whose write transactions fail: before anything is done, or after the commit, when nobody hears of it."""
    from dbre.core.store.errors import StoreUnreachable

    real = store.begin

    @asynccontextmanager
    async def broken():
        if after_commit:
            async with real() as connection:
                yield connection
        raise StoreUnreachable("the store went away")

    store.begin = broken
    try:
        yield
    finally:
        del store.begin
