"""Retry and circuit breaker of the facets, counted by a proxy that breaks connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from dbre.core.breaker import CircuitOpen
from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer
from dbre.ports.engine import Timeouts
from dbre.testing.clock import FakeClock
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import QUICK, opened


@dataclass
class Proxy:
    """Counts connections; the first ``broken`` of them are closed when the server has answered once after login."""

    address: Address
    broken: int = 0
    connections: int = 0


@asynccontextmanager
async def proxy_to(target: Address, *, broken: int) -> AsyncIterator[Proxy]:
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marker: bytes | None = None) -> None:
        try:
            while (data := await reader.read(65536)) and (marker is None or marker not in data):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.connections += 1
        marker = b"server_version" if proxy.connections <= proxy.broken else None  # sent after a login
        answers, questions = await asyncio.open_connection(target.host, target.port)
        tasks.add(asyncio.create_task(pump(reader, questions)))
        tasks.add(asyncio.create_task(pump(answers, writer, marker)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(Address("127.0.0.1", server.sockets[0].getsockname()[1]), broken=broken)
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_read_is_asked_again_after_a_lost_connection(subject: Subject) -> None:
    async with (
        proxy_to(subject.access.address, broken=2) as proxy,
        opened(subject, replace(subject.access, address=proxy.address)) as server,
    ):
        assert (await server.session.identify()).user == subject.access.user
    assert proxy.connections == 3


async def test_it_is_not_asked_for_ever(subject: Subject) -> None:
    async with (
        proxy_to(subject.access.address, broken=99) as proxy,
        opened(subject, replace(subject.access, address=proxy.address)) as server,
    ):
        with pytest.raises(Unreachable):
            await server.session.identify()
    assert proxy.connections == 3


async def test_what_will_not_pass_is_not_asked_again(subject: Subject) -> None:
    async with proxy_to(subject.access.address, broken=0) as proxy:
        access = replace(subject.access, address=proxy.address, password=Secret("wrong"))
        async with opened(subject, access) as server:
            with pytest.raises(Denied):
                await server.session.identify()
    assert proxy.connections == 1


async def test_a_broken_server_is_left_alone_and_then_tried_by_one(subject: Subject) -> None:
    clock = FakeClock()
    async with proxy_to(subject.access.address, broken=99) as proxy:
        server = PostgresEngine(clock=clock).connect(replace(subject.access, address=proxy.address))
        for _ in range(5):
            call = asyncio.create_task(server.session.identify())
            while not call.done():
                await asyncio.sleep(0.005)
                await clock.advance(0.01)
            with pytest.raises(Unreachable):
                await call
        asked = proxy.connections
        with pytest.raises(CircuitOpen):
            await server.session.identify()
        assert proxy.connections == asked
        proxy.broken = 0
        await clock.advance(6)
        answers = await asyncio.gather(*(server.session.identify() for _ in range(3)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["CircuitOpen", "CircuitOpen", "ServerIdentity"]
        assert proxy.connections == asked + 1
        await server.session.identify()
        await server.aclose()


async def test_a_slow_statement_does_not_speak_against_the_server(subject: Subject) -> None:
    """A lock on a catalog makes one statement time out, again and again; the others are still asked."""
    access = replace(subject.access, timeouts=Timeouts(connect_seconds=1, statement_seconds=0.1, lock_seconds=5))
    async with opened(subject, access) as server, await subject.server.connect() as admin:
        await server.session.privileges()
        await admin.execute("BEGIN")
        await admin.execute("LOCK TABLE pg_catalog.pg_locks")
        for _ in range(7):
            with pytest.raises(Unreachable) as caught:
                await server.statistics.collect("locks")
            assert caught.value.context["sqlstate"] == "57014"
            assert not isinstance(caught.value, CircuitOpen)
        await server.session.identify()


async def test_messages_name_the_limit_that_was_hit(subject: Subject) -> None:
    async with opened(subject) as server, opened(subject) as other:
        await server.session.identify()
        await subject.server.freeze()
        try:
            with pytest.raises(Unreachable) as asking:
                await server.session.identify()
            with pytest.raises(Unreachable) as connecting:
                await other.session.identify()
        finally:
            await subject.server.thaw()
    address = subject.access.address
    assert asking.value.message == f"PostgreSQL at {address}: no answer to identify within 1.2s"
    assert connecting.value.message == f"PostgreSQL at {address}: no connection within 1.0s"
    assert QUICK.connect_seconds == 1.0


async def test_what_a_provider_took_away_is_unknown(fresh_postgres: PostgresServer) -> None:
    """Some managed services do not let logins read the control file."""
    subject_user = "dbre"
    engine = PostgresEngine()
    async with await fresh_postgres.connect() as admin:
        await admin.execute("CREATE ROLE dbre LOGIN PASSWORD 's3cret'")
        await admin.execute(engine.grants(subject_user).encode())
        await admin.execute("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")
        await admin.execute("REVOKE pg_monitor FROM dbre")
    server = engine.connect(fresh_postgres.access(user=subject_user, password=Secret("s3cret")))
    identity = await server.session.identify()
    await server.aclose()
    assert (identity.system_id, identity.timeline, identity.user) == (None, None, "dbre")


@pytest.mark.parametrize(
    ("given", "name"), [("dbre", "dbre:probe"), ("dbre:exporter", "dbre:exporter"), ("billing", "dbre:billing")]
)
def test_sessions_are_named_after_their_purpose(subject_access: object, given: str, name: str) -> None:
    assert replace(subject_access, application_name=given).session_name("probe") == name


@pytest.fixture
def subject_access(postgres18: PostgresServer) -> object:
    return postgres18.access()
