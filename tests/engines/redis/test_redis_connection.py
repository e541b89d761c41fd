"""Connections to a real Redis: TLS in all modes, and sockets that are gone when they should be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from redis_kit import administrator, granted, open_files, probed

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.stopwatch import Stopwatch
from dbre.engines.redis import RedisEngine
from dbre.engines.redis.connection import Dialer
from dbre.lab.free_port import choose_port
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.engine import Access, Timeouts
from dbre.ports.probe import Outcome
from dbre.testing.fixtures import running

QUICK = Timeouts(connect_seconds=1.0, statement_seconds=1.0)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tls_redis(redis_server: RedisServer, lab_site: Site, certificates) -> AsyncIterator[tuple[RedisServer, Access]]:
    """A Redis with a second port that speaks TLS only, and a granted access to that port."""
    port = choose_port()
    settings = {
        "tls-port": str(port),
        "tls-ca-cert-file": str(certificates.ca),
        "tls-cert-file": str(certificates.certificate),
        "tls-key-file": str(certificates.key),
        "tls-auth-clients": "no",
    }
    async with running(RedisServer("tls-redis", lab_site, program=redis_server.program, settings=settings)) as server:
        access = await granted(server, "tls")
        yield server, replace(access, address=Address("127.0.0.1", port), timeouts=QUICK)


@pytest.mark.parametrize(
    ("mode", "host", "ca", "is_good"),
    [
        (TlsMode.PREFER, "127.0.0.1", None, True),
        (TlsMode.REQUIRE, "127.0.0.1", None, True),
        (TlsMode.REQUIRE, "127.0.0.1", "other_ca", False),
        (TlsMode.VERIFY_CA, "127.0.0.1", "ca", True),
        (TlsMode.VERIFY_CA, "127.0.0.1", None, False),
        (TlsMode.VERIFY_FULL, "localhost", "ca", True),
        (TlsMode.VERIFY_FULL, "127.0.0.1", "ca", False),
    ],
)
async def test_modes_check_as_much_as_they_say(
    tls_redis: tuple[RedisServer, Access], certificates, mode: TlsMode, host: str, ca: str | None, is_good: bool
) -> None:
    _, access = tls_redis
    access = replace(
        access,
        address=Address(host, access.address.port),
        tls=mode,
        tls_ca_file=str(getattr(certificates, ca)) if ca else None,
    )
    reading = await probed(access)
    assert (reading.outcome is Outcome.GOOD, reading.code) == (is_good, None if is_good else "tls"), reading
    if is_good:
        assert reading.phases.tls_seconds is not None
        assert reading.phases.tls_seconds > 0


async def test_prefer_goes_on_in_plain_text_where_the_server_offers_nothing_else(redis_server: RedisServer) -> None:
    reading = await probed(replace(await granted(redis_server, "plain"), tls=TlsMode.PREFER))
    assert reading.outcome is Outcome.GOOD, reading
    assert reading.phases.tls_seconds is None


async def test_prefer_asks_a_tls_server_in_plain_text_once_and_never_with_a_password(
    tls_redis: tuple[RedisServer, Access],
) -> None:
    _, access = tls_redis
    heard: list[bytearray] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = bytearray()
        heard.append(said)
        server_reader, server_writer = await asyncio.open_connection(access.address.host, access.address.port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, copy: bytearray) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(4096):
                    copy.extend(data)
                    target.write(data)
            target.close()

        await asyncio.gather(pass_on(reader, server_writer, said), pass_on(server_reader, writer, bytearray()))

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    listening = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
    relayed = replace(access, address=listening, tls=TlsMode.PREFER)
    dialer = Dialer(relayed, what="test")
    for _ in range(3):
        connection = await dialer.open(relayed)
        assert connection.is_encrypted
        connection.abort()
    listener.close()
    assert [bytes(said[:2]) for said in heard] == [b"PI", b"\x16\x03", b"\x16\x03", b"\x16\x03"]
    assert heard[0] == b"PING\r\n"


async def test_a_mode_that_demands_tls_says_nothing_in_plain_text() -> None:
    """A server that speaks no TLS hears a handshake and no password."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(4096))
        writer.write(b"-ERR unknown command\r\n")
        heard.extend(await reader.read(4096))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    from_lab = Access(address=Address("127.0.0.1", port), user="u", password=None, database=None, tls=TlsMode.REQUIRE)
    server = RedisEngine().connect(replace(from_lab, timeouts=QUICK))
    with pytest.raises(Unreachable):
        await server.session.identify()
    await server.aclose()
    listener.close()
    assert heard.startswith(b"\x16\x03")
    assert b"AUTH" not in heard


async def test_closing_under_tls_does_not_wait_for_a_frozen_server(tls_redis: tuple[RedisServer, Access]) -> None:
    server, access = tls_redis
    connection = await Dialer(replace(access, tls=TlsMode.REQUIRE), what="test").open(replace(access, tls=TlsMode.REQUIRE))
    before = open_files()
    await server.freeze()
    try:
        connection.abort()
        await asyncio.sleep(0.05)
        after = open_files()
    finally:
        await server.thaw()
    assert after < before


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.DISABLE, TlsMode.REQUIRE])
async def test_connecting_to_a_frozen_server_ends_in_time_and_leaves_no_socket(
    tls_redis: tuple[RedisServer, Access], mode: TlsMode
) -> None:
    server, access = tls_redis
    if mode is not TlsMode.REQUIRE:
        access = replace(access, address=server.address)
    before = open_files()
    await server.freeze()
    try:
        watch = Stopwatch()
        with pytest.raises(TimeoutError):
            await Dialer(replace(access, tls=mode), what="test").open(replace(access, tls=mode), watch=watch)
        spent = watch.total_seconds()
    finally:
        await server.thaw()
    await asyncio.sleep(0.05)
    assert spent < 1.3
    assert open_files() <= before


async def test_a_database_is_a_number(redis_server: RedisServer) -> None:
    access = await granted(redis_server, "numbers")
    server = RedisEngine().connect(replace(access, database="shop; DROP"))
    with pytest.raises(UsageError, match="is no database number"):
        await server.session.identify()
    await server.aclose()
    reading = await probed(replace(access, database="shop"))
    assert (reading.outcome, reading.code) == (Outcome.EXCLUDED, "client_error"), reading


async def test_names_with_blanks_become_names_that_the_server_takes(redis_server: RedisServer) -> None:
    access = replace(await granted(redis_server, "named"), application_name="two words\n名")
    server = RedisEngine().connect(access)
    await server.session.identify()
    async with administrator(redis_server) as admin:
        names = [client["name"] for client in await admin.client_list()]
    await server.aclose()
    assert "dbre:two-words--" in names
