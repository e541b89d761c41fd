"""A certificate that has ended: clients that check it are turned away, and let in again when the fault is gone."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from injection_kit import order_on
from server_faults_kit import ENDS, come_and_go, failure_of

from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.slow
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])


class Authority:
    """Signs certificates for 127.0.0.1."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(self._key.public_key(), days=10, is_authority=True)

    def pair(self, *, days: int) -> tuple[str, str]:
        """A certificate that ends after so many days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self._signed(key.public_key(), days=days, is_authority=False), private.decode()

    def _signed(self, key: ec.EllipticCurvePublicKey, *, days: int, is_authority: bool) -> str:
        name = _NAME if is_authority else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(_NAME)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest_asyncio.fixture(loop_scope="session")
async def encrypted(small_postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[PostgresServer, Path]]:
    """The server with TLS, and the authority's certificate for its clients; beside its data an expired pair."""
    authority, server = Authority(), small_postgres
    for prefix, days in (("server", 5), ("ended", -2)):
        for suffix, text in zip(("crt", "key"), authority.pair(days=days), strict=True):
            server.site.write_file(server.data_directory / f"{prefix}.{suffix}", text)
    trusted = tmp_path / "authority.crt"
    trusted.write_text(authority.certificate)
    async with await server.connect() as admin:
        await admin.execute("ALTER SYSTEM SET ssl = on")
        await admin.execute("SELECT pg_reload_conf()")
    yield server, trusted
    async with await server.connect() as admin:
        await admin.execute("ALTER SYSTEM RESET ssl")
        await admin.execute("SELECT pg_reload_conf()")


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
