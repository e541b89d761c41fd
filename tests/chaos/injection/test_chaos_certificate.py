"""A certificate that has ended: clients that check it are turned away, and let in again when the fault is gone."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from certificates_kit import with_tls
from injection_kit import order_on
from server_faults_kit import ENDS, come_and_go, failure_of

from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(loop_scope="session")
async def encrypted(small_postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[PostgresServer, Path]]:
    """The server with TLS, and the authority's certificate for its clients."""
    async with with_tls(small_postgres, tmp_path) as trusted:
        yield small_postgres, trusted


async def why_refused(server: PostgresServer, trusted: Path) -> str:
    """Why a client that checks the certificate is turned away; empty: it is not."""
    where = {"host": server.address.host, "port": server.address.port, "user": server.superuser, "dbname": "postgres"}
    try:
        connection = await psycopg.AsyncConnection.connect(
            **where, password=server.password.reveal(), sslmode="verify-full", sslrootcert=str(trusted)
        )
    except psycopg.OperationalError as error:
        return str(error)
    await connection.close()
    return ""


@ENDS
async def test_a_certificate_ends_and_is_good_again(encrypted: tuple[PostgresServer, Path], tmp_path: Path, end: str) -> None:
    server, trusted = encrypted

    async def is_refused() -> bool:
        return "certificate verify failed" in await why_refused(server, trusted)

    prepared = {"certificate": str(server.data_directory / "ended.crt"), "key": str(server.data_directory / "ended.key")}
    await come_and_go(server, {"certificate-expiry": (prepared, is_refused)}, tmp_path / "prepared", end)
    assert await why_refused(server, trusted) == ""
    await come_and_go(server, {"certificate-expiry": ({}, is_refused)}, tmp_path / "made", end)
    assert await why_refused(server, trusted) == ""
    assert not list(Path("/tmp").glob("dbre-chaos-*/server.key"))
    wrong = {**prepared, "certificate": str(server.data_directory / "PG_VERSION")}
    assert "is no certificate" in await failure_of(order_on(server, "certificate-expiry", tmp_path, **wrong))
