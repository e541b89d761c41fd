"""What the PostgreSQL probe sees beyond what every engine's does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dbre.core.errors import UsageError
from dbre.core.fleet import Address, EndpointPurpose
from dbre.core.network import Target
from dbre.engines.postgres import PostgresEngine, connection
from dbre.lab.postgres import PostgresServer
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeReading, ProbeRequest
from dbre.ports.session import Role
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import probing, sessions_left
from dbre.testing.fixtures import PostgresPair

DEADLINES = ProbeDeadlines(connect_seconds=1.0, statement_seconds=0.5, total_seconds=1.5)


def request(sequence: int, purpose: EndpointPurpose = EndpointPurpose.WRITE, *, fresh: bool = False) -> ProbeRequest:
    return ProbeRequest(purpose=purpose, heartbeat_id="pg", sequence=sequence, fresh=fresh, deadlines=DEADLINES)


async def measured(subject: Subject, sequence: int = 1) -> ProbeReading:
    async with probing(subject) as probe:
        await probe.prepare()
        return await probe.measure(request(sequence))


async def test_a_lock_on_the_heartbeat_is_bad_and_told_by_the_server(subject: Subject) -> None:
    async with probing(subject) as probe:
        await probe.prepare()
        async with await subject.server.connect() as other:
            await other.execute("BEGIN")
            await other.execute("LOCK TABLE dbre.heartbeat")
            locked = await probe.measure(request(1))
            await other.execute("ROLLBACK")
        free = await probe.measure(request(2))
    assert (locked.outcome, locked.code) == (Outcome.BAD, "55P03"), locked
    assert locked.phases.total_seconds < DEADLINES.total_seconds
    assert free.outcome is Outcome.GOOD


async def test_a_primary_that_is_read_only_by_default_is_bad(fresh_postgres: PostgresServer) -> None:
    """A client's transaction would fail, although the server is a primary."""
    probe = PostgresEngine().probe(fresh_postgres.access())
    await probe.prepare()
    async with await fresh_postgres.connect() as admin:
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
    await asyncio.sleep(0.2)
    reading = await probe.measure(request(1, fresh=True))
    await probe.aclose()
    handle = PostgresEngine().connect(fresh_postgres.access())
    identity = await handle.session.identify()
    await handle.aclose()
    assert (reading.outcome, reading.code, reading.role) == (Outcome.BAD, "25006", Role.PRIMARY)
    assert identity.is_read_only  # although the session that asked is read-only by its own choice
    assert identity.role is Role.PRIMARY


async def test_probes_of_many_clusters_on_one_server_prepare_at_once_and_none_is_denied(fresh_postgres: PostgresServer) -> None:
    for _ in range(5):
        probes = [PostgresEngine().probe(fresh_postgres.access()) for _ in range(40)]
        await asyncio.gather(*(probe.prepare() for probe in probes))
        async with await fresh_postgres.connect() as admin:
            await admin.execute("DROP SCHEMA dbre CASCADE")


async def test_a_missing_heartbeat_table_does_not_count_and_reading_goes_on(fresh_postgres: PostgresServer) -> None:
    probe = PostgresEngine().probe(fresh_postgres.access())
    written = await probe.measure(request(1))
    read = await probe.measure(request(2, EndpointPurpose.READ))
    await probe.aclose()
    assert (written.outcome, written.code) == (Outcome.EXCLUDED, "42P01")
    assert (read.outcome, read.heartbeat_sequence) == (Outcome.GOOD, None)


async def test_somebody_elses_table_of_that_name_is_left_alone(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as admin:
        await admin.execute("CREATE SCHEMA dbre")
        await admin.execute("CREATE TABLE dbre.heartbeat (id integer, text text)")
    probe = PostgresEngine().probe(fresh_postgres.access())
    with pytest.raises(UsageError, match=r"table dbre\.heartbeat is not dbre's"):
        await probe.prepare()
    await probe.aclose()


async def test_heartbeats_leave_room_on_their_pages(subject: Subject) -> None:
    """Updates stay on the page (HOT): the index of the table does not grow with every probe."""
    await measured(subject)
    async with await subject.server.connect() as admin:
        cursor = await admin.execute("SELECT reloptions FROM pg_catalog.pg_class WHERE oid = 'dbre.heartbeat'::regclass")
        assert await cursor.fetchone() == (["fillfactor=50"],)


async def test_the_probe_commits_as_a_client_does(subject: Subject) -> None:
    async with probing(subject) as probe:
        await probe.prepare()
        await probe.measure(request(1))
        assert await sessions_left(subject, str(subject.access.user), at_most=1) == ["dbre:probe"]
        connection = probe._kept._driver  # type: ignore[attr-defined]
        cursor = await connection.execute(
            "SELECT name, setting, source FROM pg_catalog.pg_settings WHERE name IN ('synchronous_commit', "
            "'default_transaction_read_only', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')"
        )
        found = {name: (setting, source) for name, setting, source in await cursor.fetchall()}
    assert found["synchronous_commit"] == ("on", "default")
    assert found["default_transaction_read_only"] == ("off", "default")
    assert found["statement_timeout"] == ("500", "client")
    assert found["lock_timeout"] == ("250", "client")
    assert found["idle_in_transaction_session_timeout"] == ("5500", "client")


async def test_a_kept_connection_that_the_server_closed_is_opened_anew_in_the_same_slot(subject: Subject) -> None:
    async with probing(subject) as probe:
        await probe.prepare()
        await probe.measure(request(1))
        async with await subject.server.connect() as admin:
            await admin.execute(
                "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = %s",
                [subject.access.user],
            )
        reading = await probe.measure(request(2))
    assert reading.outcome is Outcome.GOOD, reading
    assert reading.phases.connect_seconds is not None


async def test_a_session_that_is_terminated_under_a_statement_is_bad(subject: Subject) -> None:
    async with probing(subject) as probe:
        await probe.prepare()
        await probe.measure(request(1))
        async with await subject.server.connect() as admin, await subject.server.connect() as other:
            await other.execute("BEGIN")
            await other.execute("LOCK TABLE dbre.heartbeat")
            hanging = asyncio.create_task(probe.measure(request(2)))
            await asyncio.sleep(0.1)
            await admin.execute(
                "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = %s",
                [subject.access.user],
            )
            reading = await hanging
    assert (reading.outcome, reading.code) == (Outcome.BAD, "57P01"), reading


async def test_phases_show_where_a_connection_hangs(subject: Subject) -> None:
    """Through a proxy that lets some bytes pass and then says nothing."""
    asked: dict[int, ProbeReading] = {}
    for allowed in (0, 1):  # answers of the server: none (TLS is being asked for), the first (then the login hangs)
        async with _stalling_proxy(subject.access.address, allowed=allowed) as address:
            probe = subject.engine.probe(replace(subject.access, address=address, tls=type(subject.access.tls).PREFER))
            asked[allowed] = await probe.measure(request(1))
            await probe.aclose()
    assert {reading.code for reading in asked.values()} == {"timeout"}
    assert asked[0].phases.tls_seconds is not None
    assert asked[0].phases.tls_seconds > 0.5
    assert asked[0].phases.auth_seconds is None or asked[0].phases.auth_seconds < 0.1
    assert asked[1].phases.auth_seconds is not None
    assert asked[1].phases.auth_seconds > 0.5
    assert asked[1].phases.query_seconds is None


@asynccontextmanager
async def _stalling_proxy(target: Address, *, allowed: int) -> AsyncIterator[Address]:
    """Passes all that the client says, and the first ``allowed`` answers of the server."""
    tasks: list[asyncio.Task[None]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        try:
            while count != 0 and (data := await reader.read(65536)):
                writer.write(data)
                await writer.drain()
                count -= 1
            await asyncio.sleep(60)  # say nothing more, and do not hang up
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(target.host, target.port)
        tasks.append(asyncio.create_task(pump(reader, questions, -1)))
        tasks.append(asyncio.create_task(pump(answers, writer, allowed)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_addresses_of_a_host_are_tried(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """``localhost`` is ::1 first on many machines, and servers listen on 127.0.0.1 only."""

    async def both(address: Address) -> list[Target]:
        return [Target(host="::1", port=address.port), Target(host="127.0.0.1", port=address.port)]

    monkeypatch.setattr(connection, "resolve", both)
    access = replace(subject.access, address=Address("localhost", subject.access.address.port))
    async with probing(subject, access) as probe:
        await probe.prepare()
        reading = await probe.measure(request(1))
    assert reading.outcome is Outcome.GOOD, reading


async def test_a_replica_takes_replica_probes_only(postgres_pair: PostgresPair) -> None:
    engine = PostgresEngine()
    primary, replica = engine.probe(postgres_pair.primary.access()), engine.probe(postgres_pair.replica.access())
    await primary.prepare()
    written = await primary.measure(request(41))
    await replica.prepare()  # changes nothing: the table comes from the primary
    seen = await _until_seen(replica, 41)
    wrong = [await replica.measure(request(42, purpose)) for purpose in (EndpointPurpose.WRITE, EndpointPurpose.READ)]
    for probe in (primary, replica):
        await probe.aclose()
    assert written.outcome is Outcome.GOOD
    assert (seen.outcome, seen.role, seen.system_id) == (Outcome.GOOD, Role.REPLICA, written.system_id)
    assert [(reading.outcome, reading.code, reading.role) for reading in wrong] == [
        (Outcome.BAD, "wrong_role", Role.REPLICA)
    ] * 2


async def _until_seen(probe: object, sequence: int) -> ProbeReading:
    for _ in range(100):
        reading: ProbeReading = await probe.measure(request(0, EndpointPurpose.REPLICA))  # type: ignore[attr-defined]
        if reading.heartbeat_sequence == sequence:
            return reading
        await asyncio.sleep(0.05)
    pytest.fail(f"the replica never showed sequence {sequence}: {reading}")


async def test_writes_by_many_probers_at_once_keep_the_newest_sequence(subject: Subject) -> None:
    probes = [subject.engine.probe(subject.impatient()) for _ in range(8)]
    await probes[0].prepare()
    many = ProbeDeadlines(connect_seconds=5.0, statement_seconds=5.0, total_seconds=10.0)
    base = 1000
    readings = await asyncio.gather(
        *(
            probe.measure(replace(request(base + number), heartbeat_id="crowd", deadlines=many))
            for number, probe in enumerate(probes)
        )
    )
    async with await subject.server.connect() as admin:
        cursor = await admin.execute("SELECT sequence FROM dbre.heartbeat WHERE id = 'crowd'")
        assert await cursor.fetchone() == (base + 7,)
    for probe in probes:
        await probe.aclose()
    assert {reading.outcome for reading in readings} == {Outcome.GOOD}


async def test_a_heartbeat_id_that_postgres_cannot_store_does_not_count(subject: Subject) -> None:
    async with probing(subject) as probe:
        await probe.prepare()
        reading = await probe.measure(replace(request(1), heartbeat_id="nul\0byte"))
        after = await probe.measure(request(2))
    assert reading.outcome is Outcome.EXCLUDED, reading
    assert after.outcome is Outcome.GOOD
