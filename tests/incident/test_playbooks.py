"""Diagnosis when an incident opens: asked of real servers, read-only, and of servers that do not answer."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from incident_kit import START, IncidentWorld, cluster

from dbre.app import Engines
from dbre.capabilities.incident.desk import NewIncident
from dbre.capabilities.incident.incidents_document import PlaybookDocument
from dbre.capabilities.incident.model import Severity, TimelineKind
from dbre.capabilities.incident.playbooks.findings import PRIMARY, of_activity, of_identity, of_replication, of_sessions
from dbre.capabilities.incident.playbooks.triage import Triage, playbooks_for
from dbre.core.events import Event
from dbre.core.fleet import Address, Fleet, Instance
from dbre.lab.postgres import PostgresServer
from dbre.ports.activity import ActivitySummary, SessionInfo
from dbre.ports.replication import ReplicaLink, ReplicationStatus
from dbre.ports.session import Role, ServerIdentity


async def _opened(world: IncidentWorld) -> Event:
    await world.desk().open(NewIncident(title="x", severity=Severity.SEV2, cluster="orders"))
    return (await world.events("incident.opened"))[-1]


async def _lines(world: IncidentWorld) -> list[str]:
    return [one.text for one in await world.timeline() if one.kind is TimelineKind.PLAYBOOK]


def _fleet(server: PostgresServer, *others: Address) -> Fleet:
    address = Address.parse(str(server.address), default_port=5432)
    instances = tuple(
        Instance(name=f"orders-{number}", cluster="orders", address=one) for number, one in enumerate((address, *others), 1)
    )
    one = replace(
        cluster("orders", tier="0"),
        instances=instances,
        user=server.superuser,
        password=server.password,
        databases=("postgres",),
    )
    return Fleet(clusters=(one,))


async def test_a_blocked_session_of_a_real_server_is_found_and_a_dead_one_says_so(
    world: IncidentWorld, postgres15: PostgresServer
) -> None:
    event = await _opened(world)
    fleet = _fleet(postgres15, Address("127.0.0.1", 1))
    triage = Triage(world.store, fleet, Engines(), world.clock, [])
    async with await postgres15.connect() as holder, await postgres15.connect() as waiter:
        await holder.execute("SELECT pg_advisory_lock(4711)")
        waiting = asyncio.ensure_future(waiter.execute("SELECT pg_advisory_lock(4711)"))
        try:
            async with asyncio.timeout(60):
                while not any("blocks 1 session" in line for line in await _lines(world)):
                    await triage(replace(event, id=world.new_id()))
        finally:
            await holder.execute("SELECT pg_advisory_unlock(4711)")
            await waiting
    (entry, *_) = [one for one in await world.timeline() if "blocks 1 session" in one.text]
    assert set(entry.details["steps"]) == {"identity", "activity", "sessions", "replication", "settings"}
    assert "pg_advisory_lock" not in str(entry.details)  # never the text of a query
    assert any(line.startswith("playbook triage on orders-2: ") and "127.0.0.1:1" in line for line in await _lines(world))


async def test_the_same_event_again_writes_nothing_twice(world: IncidentWorld) -> None:
    event = await _opened(world)
    fleet = Fleet(
        clusters=(
            replace(cluster("orders"), instances=(Instance(name="o", cluster="orders", address=Address("127.0.0.1", 1)),)),
        )
    )
    triage = Triage(world.store, fleet, Engines(), world.clock, [PlaybookDocument(name="mine", runbook="https://wiki/orders")])
    await triage(event)
    first = await _lines(world)
    await triage(event)
    assert await _lines(world) == first
    assert "playbook mine: https://wiki/orders" in first


async def test_an_incident_without_a_cluster_asks_nobody(world: IncidentWorld) -> None:
    await world.desk().open(NewIncident(title="x", severity=Severity.SEV2))
    event = (await world.events("incident.opened"))[-1]
    await Triage(world.store, world.fleet, Engines(), world.clock, [])(event)
    await Triage(world.store, world.fleet, Engines(), world.clock, [])(replace(event, data={"incident_id": "nonsense"}))
    assert await _lines(world) == []


@pytest.mark.parametrize(
    ("selector", "slos", "expected"),
    [
        ({}, [], True),
        ({"tier": "0"}, [], True),
        ({"tier": "1"}, [], False),
        ({"engine": "postgresql"}, ["writes"], True),
        ({}, ["reads"], False),
    ],
)
async def test_playbooks_are_chosen_by_labels_and_slo(
    world: IncidentWorld, selector: dict[str, str], slos: list[str], expected: bool
) -> None:
    await world.fire()
    one = PlaybookDocument(name="p", selector=selector, slos=slos)
    found = playbooks_for([one], await world.incident(), cluster("orders", tier="0"))
    assert bool(found) is expected


def test_findings_name_what_is_unusual_and_nothing_else() -> None:
    calm = ActivitySummary(
        sessions_by_state={"idle": 5}, max_sessions=100, blocked_sessions=0, longest_transaction_seconds=None, measured_at=START
    )
    assert of_activity(calm) == ["5 of 100 sessions (5 idle)"]
    busy = replace(calm, sessions_by_state={"active": 90}, blocked_sessions=3, longest_transaction_seconds=301.0)
    assert [line.startswith("finding: ") for line in of_activity(busy)] == [False, True, True, True]
    session = SessionInfo(
        session_id="7",
        user="app\x1b[2J",
        database=None,
        application_name=None,
        client_address=None,
        state="active",
        wait_event="Lock",
        transaction_seconds=3.0,
        query_seconds=2.0,
        blocked_by=("3",),
        query_text="SELECT 'secret'",
    )
    said = of_sessions([session, replace(session, session_id="8")])
    assert said[0] == "finding: session 3 blocks 2 sessions"
    assert "secret" not in str(said)
    assert "\x1b" not in str(said)


def test_replication_and_identity_findings() -> None:
    link = ReplicaLink(
        name="r",
        client_address=None,
        state="streaming",
        sync_state=None,
        flush_lag_bytes=0,
        replay_lag_bytes=128 * 1024 * 1024,
        replay_lag_seconds=None,
    )
    status = ReplicationStatus(
        role=Role.PRIMARY,
        links=(link,),
        upstream=None,
        is_receiving=None,
        replay_lag_bytes=None,
        replay_lag_seconds=None,
        measured_at=START,
    )
    assert of_replication(status)[1:] == ["finding: replica r (streaming) is behind: 128.0 MiB"]
    cut = replace(status, role=Role.REPLICA, links=(), is_receiving=False, replay_lag_seconds=31.0)
    assert [line.startswith("finding: ") for line in of_replication(cut)] == [False, True, True]
    identity = ServerIdentity(
        product="postgresql",
        version=(15, 18),
        version_text="15.18",
        role=Role.PRIMARY,
        is_read_only=True,
        system_id=None,
        timeline=None,
        started_at=datetime(2026, 11, 21, 3, 59, tzinfo=UTC),
        user="dbre",
    )
    assert of_identity(identity, now=START) == [
        "postgresql 15.18",
        PRIMARY,
        "finding: it is primary, and takes no writes",
        "finding: it started 60 s ago",
    ]
