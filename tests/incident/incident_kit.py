"""A world of incidents: a state store on both databases, a fleet of three clusters, and a responder that is fed by hand."""

import shutil
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dbre.capabilities.incident.correlation import Rules
from dbre.capabilities.incident.desk import IncidentDesk
from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident, IncidentAlert, TimelineEntry
from dbre.capabilities.incident.repository import alerts_of, incident_named, list_incidents, timeline_of
from dbre.capabilities.incident.responder import Responder
from dbre.core.events import Event, EventLog, recent
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.ids import uuid7
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.testing.clock import FakeClock
from migrated_stores import state_database

START = datetime(2026, 11, 21, 4, tzinfo=UTC)


def cluster(name: str, **labels: str) -> Cluster:
    return Cluster(
        name=name,
        environment="prod",
        engine="postgresql",
        instances=(Instance(name=f"{name}-1", cluster=name, address=Address("192.0.2.1", 5432)),),
        endpoints=(),
        databases=("shop",),
        user="dbre",
        password=None,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"cluster": name, "environment": "prod", **labels},
    )


FLEET = Fleet(clusters=(cluster("orders", tier="0"), cluster("stock", tier="2"), cluster("mail")))
RULES = Rules(dependencies={"orders": ["stock"]})


def person(name: str, role: Role = Role.ADMIN) -> Principal:
    return Principal(name=name, kind=PrincipalKind.PERSON, grants=(Grant(role=role),))


@dataclass
class Measured:
    """An ``ImpactSource`` that says what the test put in."""

    began_at: datetime | None = None
    costs: Sequence[Spent] = ()
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def began(self, *, slo: str, cluster: str, group: str, fired_at: datetime, window_seconds: int) -> datetime | None:
        self.asked.append((slo, cluster, group, fired_at, window_seconds))
        return self.began_at

    async def spent(self, *, clusters: Collection[str], since: datetime, until: datetime) -> Sequence[Spent]:
        self.asked.append((sorted(clusters), since, until))
        return self.costs


@dataclass
class IncidentWorld:
    """Everything over one store."""

    store: Store
    clock: FakeClock
    responder: Responder
    impact: Measured
    log: EventLog
    fleet: Fleet = FLEET

    def new_id(self) -> UUID:
        return uuid7(self.clock)

    def desk(self, name: str = "alice", role: Role = Role.ADMIN) -> IncidentDesk:
        return IncidentDesk(self.store, self.fleet, self.clock, person(name, role))

    async def happen(self, kind: str, subject: str, data: dict[str, Any], *, deliver: bool = True) -> Event:
        async with self.store.begin() as connection:
            event = await self.log.emit(connection, kind=kind, subject=subject, data=data)
        if deliver:
            await self.responder(event)
        return event

    async def fire(self, alert_id: str = "a1", *, cluster: str = "orders", slo: str = "writes", **data: Any) -> Event:
        return await self.happen("slo.alert_fired", f"{slo}@{cluster}", self.alert(alert_id, cluster=cluster, slo=slo, **data))

    async def end(self, alert_id: str = "a1", *, cluster: str = "orders", slo: str = "writes", **data: Any) -> Event:
        told = self.alert(alert_id, cluster=cluster, slo=slo, **data) | {"resolved_at": self.clock.now().isoformat()}
        return await self.happen("slo.alert_resolved", f"{slo}@{cluster}", told)

    def alert(self, alert_id: str, **data: Any) -> dict[str, Any]:
        return {
            "alert_id": alert_id,
            "group": "",
            "rule": "fast",
            "severity": "page",
            "fired_at": self.clock.now().isoformat(),
            "resolved_at": None,
            "burn_rate": 20.0,
            "budget_remaining_ratio": 0.7,
            "window_seconds": 3600,
            "summary": "burns 20 times too fast",
        } | data

    async def incidents(self) -> list[Incident]:
        async with self.store.read() as connection:
            return list(await list_incidents(connection))[::-1]

    async def incident(self, name: str = "INC-1") -> Incident:
        async with self.store.read() as connection:
            return await incident_named(connection, name)

    async def timeline(self, name: str = "INC-1") -> list[TimelineEntry]:
        async with self.store.read() as connection:
            return list(await timeline_of(connection, (await incident_named(connection, name)).id))

    async def alerts(self, name: str = "INC-1") -> list[IncidentAlert]:
        async with self.store.read() as connection:
            return list(await alerts_of(connection, [(await incident_named(connection, name)).id]))

    async def events(self, kind: str = "incident.*") -> list[Event]:
        async with self.store.read() as connection:
            return list(await recent(connection, 1_000, kind=kind))[::-1]


@asynccontextmanager
async def world_over(store: Store) -> AsyncIterator[IncidentWorld]:
    clock, impact = FakeClock(START), Measured()
    responder = Responder(
        store,
        FLEET,
        clock,
        rules=RULES,
        impact=impact,
        resolve_after=timedelta(minutes=10),
        look_back=timedelta(minutes=30),
    )
    yield IncidentWorld(store=store, clock=clock, responder=responder, impact=impact, log=EventLog(clock))


@pytest.fixture
async def world(migrated_file: Path, tmp_path: Path) -> AsyncIterator[IncidentWorld]:
    path = tmp_path / "dbre.db"
    shutil.copy(migrated_file, path)
    async with open_store(f"sqlite:///{path}", clock=FakeClock(START)) as store, world_over(store) as made:
        yield made


@pytest.fixture
async def postgres_world(postgres15: PostgresServer) -> AsyncIterator[IncidentWorld]:
    async with (
        state_database(postgres15) as url,
        open_store(url, password=postgres15.password, clock=FakeClock(START)) as store,
        world_over(store) as made,
    ):
        yield made
