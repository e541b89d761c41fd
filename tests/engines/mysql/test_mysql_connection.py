"""Connections to a real MariaDB: TLS, the server's own timers, farewells; and what of the driver's inside we rely on."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncmy
import pytest
import pytest_asyncio
from mysql_kit import administrator, execute, granted, open_files, request

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.secrets import Secret
from dbre.core.stopwatch import Stopwatch
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.connection import Connection, open_connection
from dbre.engines.mysql.driver import DriverConnection
from dbre.engines.mysql.facts import WRITE_HEARTBEAT
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.engine import Access, Facet, NamedQuery, Timeouts
from dbre.ports.probe import Outcome
from dbre.testing.fixtures import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tls_mariadb(mariadb: MariaDbServer, lab_site: Site, certificates) -> AsyncIterator[MariaDbServer]:
    """A MariaDB that offers TLS and does not demand it."""
    files = {"ssl-ca": certificates.ca, "ssl-cert": certificates.certificate, "ssl-key": certificates.key}
    settings = {name: str(path) for name, path in files.items()}
    async with running(MariaDbServer("tls-mariadb", lab_site, program=mariadb.program, settings=settings)) as server:
        yield server


async def asked(connection: Connection, text: str) -> dict[str, object]:
    query = NamedQuery(name="test", facet=Facet.SESSION, versions="*", privilege="USAGE", text=text, source="test:1")
    (row,) = await connection.run(query, limit_seconds=2)
    return row


async def opened(access: Access) -> tuple[Connection, dict[str, float]]:
    watch = Stopwatch()
    return await open_connection(access, what="test", watch=watch), watch.seconds()


def named(access: Access) -> Access:
    return replace(access, address=Address("localhost", access.address.port))


async def test_prefer_encrypts_where_the_server_offers_it_and_times_the_handshake(tls_mariadb: MariaDbServer) -> None:
    connection, seconds = await opened(replace(await granted(tls_mariadb, "tls"), tls=TlsMode.PREFER))
    cipher = await asked(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    connection.abort()
    assert cipher["Value"]
    assert connection.is_encrypted
    assert seconds["tls"] > 0
    assert set(seconds) == {"dns", "connect", "tls", "auth"}


async def test_prefer_goes_on_in_plain_text_where_the_server_offers_nothing_else(mariadb: MariaDbServer) -> None:
    connection, seconds = await opened(replace(await granted(mariadb, "tls"), tls=TlsMode.PREFER))
    connection.abort()
    assert not connection.is_encrypted
    assert "tls" not in seconds


async def test_disable_does_not_encrypt(tls_mariadb: MariaDbServer) -> None:
    connection, _ = await opened(replace(await granted(tls_mariadb, "tls"), tls=TlsMode.DISABLE))
    connection.abort()
    assert not connection.is_encrypted


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
async def test_no_mode_that_demands_tls_says_the_password_in_plain_text(mariadb: MariaDbServer, mode: TlsMode) -> None:
    server = MySqlEngine().connect(replace(await granted(mariadb, "tls"), tls=mode))
    with pytest.raises(Unreachable, match="the server offers no TLS, and the configuration demands it"):
        await server.session.identify()
    await server.aclose()


@pytest.mark.parametrize(
    ("mode", "host", "ca", "is_good"),
    [
        (TlsMode.REQUIRE, "127.0.0.1", None, True),
        (TlsMode.REQUIRE, "127.0.0.1", "other_ca", False),
        (TlsMode.VERIFY_CA, "127.0.0.1", "ca", True),
        (TlsMode.VERIFY_CA, "127.0.0.1", "other_ca", False),
        (TlsMode.VERIFY_CA, "127.0.0.1", None, False),
        (TlsMode.VERIFY_FULL, "localhost", "ca", True),
        (TlsMode.VERIFY_FULL, "127.0.0.1", "ca", False),
        (TlsMode.VERIFY_FULL, "localhost", "other_ca", False),
    ],
)
async def test_modes_check_as_much_as_they_say(
    tls_mariadb: MariaDbServer, certificates, mode: TlsMode, host: str, ca: str | None, is_good: bool
) -> None:
    access = replace(
        await granted(tls_mariadb, "tls"),
        address=Address(host, tls_mariadb.address.port),
        tls=mode,
        tls_ca_file=str(getattr(certificates, ca)) if ca else None,
    )
    probe = MySqlEngine().probe(access)
    reading = await probe.measure(request())
    await probe.aclose()
    assert (reading.outcome is Outcome.GOOD, reading.code) == (is_good, None if is_good else "tls"), reading


async def test_a_ca_file_that_is_missing_is_our_own_fault(tls_mariadb: MariaDbServer) -> None:
    access = replace(await granted(tls_mariadb, "tls"), tls=TlsMode.VERIFY_CA, tls_ca_file="/no/such/ca.pem")
    probe = MySqlEngine().probe(access)
    reading = await probe.measure(request())
    await probe.aclose()
    assert (reading.outcome, reading.code) == (Outcome.EXCLUDED, "client_error"), reading
    assert "/no/such/ca.pem" in str(reading.reason)


async def test_closing_under_tls_does_not_wait_for_a_frozen_server(tls_mariadb: MariaDbServer) -> None:
    connection, _ = await opened(replace(await granted(tls_mariadb, "tls"), tls=TlsMode.REQUIRE))
    before = open_files()
    await tls_mariadb.freeze()
    try:
        connection.abort()
        await asyncio.sleep(0.05)
        after = open_files()
    finally:
        await tls_mariadb.thaw()
    assert after < before  # the driver's own close would keep the socket for half a minute


async def test_the_server_gives_up_by_itself_too(mariadb: MariaDbServer) -> None:
    access = replace(
        await granted(mariadb, "timers"), timeouts=Timeouts(connect_seconds=2, statement_seconds=1.5, lock_seconds=0.2)
    )
    connection, _ = await opened(access)
    limits = await asked(
        connection,
        "SELECT @@max_statement_time AS statement, @@innodb_lock_wait_timeout AS locks, @@lock_wait_timeout AS metadata",
    )
    connection.abort()
    assert {name: float(str(value)) for name, value in limits.items()} == {"statement": 1.5, "locks": 1, "metadata": 1}


async def test_a_farewell_keeps_the_servers_error_log_and_counters_clean(own_mariadb: MariaDbServer) -> None:
    access = await granted(own_mariadb, "polite")
    probe = MySqlEngine().probe(access)
    for sequence in range(5):
        reading = await probe.measure(request(sequence, fresh=True))
        assert reading.outcome is Outcome.GOOD, reading
    await probe.aclose()
    await asyncio.sleep(0.2)
    async with administrator(own_mariadb) as admin:
        ((_, aborted),) = await execute(admin, "SHOW GLOBAL STATUS LIKE 'Aborted_clients'")
    assert int(aborted) == 0


async def test_quoting_of_the_servers_own_choice_does_not_hide_our_privileges(own_mariadb: MariaDbServer) -> None:
    access = await granted(own_mariadb, "quoted")
    async with administrator(own_mariadb) as admin:
        await execute(
            admin, "SET GLOBAL sql_mode = 'ANSI_QUOTES', GLOBAL sql_quote_show_create = 0, GLOBAL time_zone = '+05:00'"
        )
    server = MySqlEngine().connect(access)
    assert WRITE_HEARTBEAT in await server.session.privileges()
    identity, summary = await server.session.identify(), await server.activity.summary()
    await server.aclose()
    assert identity.started_at is not None
    assert abs(summary.measured_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert timedelta(0) <= summary.measured_at - identity.started_at < timedelta(minutes=5)


async def test_a_socket_file_is_a_host(mariadb: MariaDbServer) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "CREATE OR REPLACE USER local@localhost IDENTIFIED BY 'x'")
    path = str(mariadb.data_directory / "mariadb.sock")
    if len(path.encode()) > 107:
        pytest.skip("the path is too long for a socket")
    access = Access(address=Address(path, 3306), user="local", password=Secret("x"), database=None)
    connection, seconds = await opened(access)
    assert (await asked(connection, "SELECT CURRENT_USER() AS login"))["login"] == "local@localhost"
    connection.abort()
    assert "dns" not in seconds


async def test_passwords_in_other_alphabets_are_sent_as_utf8(mariadb: MariaDbServer) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "CREATE OR REPLACE USER umlaut@`%` IDENTIFIED BY 'pä名'")
    connection, _ = await opened(replace(mariadb.access(user="umlaut", password=Secret("pä名")), database=None))
    connection.abort()


async def test_a_server_that_asks_for_the_password_itself_does_not_get_it() -> None:
    """A false server: greets like MariaDB and then asks for the password in clear text."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        capabilities = (0xF7FF & ~0x0800, 0x0008 | 0x0020)
        greeting = b"\x0a10.11.0-MariaDB\0" + b"\x01\0\0\0" + b"12345678\0" + capabilities[0].to_bytes(2, "little")
        greeting += b"\x2d\x02\0" + capabilities[1].to_bytes(2, "little") + b"\x15" + bytes(10) + b"123456789012\0"
        greeting += b"mysql_native_password\0"
        writer.write(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
        heard.extend(await reader.read(4096))
        switch = b"\xfemysql_clear_password\0"
        writer.write(len(switch).to_bytes(3, "little") + b"\x02" + switch)
        heard.extend(await reader.read(4096))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    access = Access(address=Address("127.0.0.1", port), user="dbre", password=Secret("hunter2-secret"), database=None)
    server = MySqlEngine().connect(access)
    with pytest.raises((Denied, Unreachable), match="asks for the password in clear text"):
        await server.session.identify()
    await server.aclose()
    listener.close()
    assert b"hunter2" not in heard


async def test_sixty_abandoned_connections_leave_no_socket(mariadb: MariaDbServer) -> None:
    access = replace(await granted(mariadb, "abandoned"), timeouts=Timeouts(connect_seconds=2.0))
    gc.collect()
    before = open_files()
    for step in range(60):
        opening = asyncio.create_task(open_connection(access, what="test"))
        await asyncio.sleep(step * 0.00005)
        opening.cancel()
        for connection in await asyncio.gather(opening, return_exceptions=True):
            if isinstance(connection, Connection):
                connection.abort()
    await asyncio.sleep(0.05)
    assert open_files() <= before


def test_the_driver_still_has_the_insides_that_we_extend() -> None:
    base = DriverConnection.__mro__[1]
    assert base is asyncmy.connection.Connection
    for name in ("_get_server_information", "_request_authentication", "_write_bytes", "write_packet", "close"):
        assert callable(getattr(base, name)), name
