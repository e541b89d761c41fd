"""A server of PostgreSQL that speaks TLS for a while, with certificates of an authority of its own."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbre.lab.postgres import PostgresServer

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


@asynccontextmanager
async def with_tls(server: PostgresServer, directory: Path) -> AsyncIterator[Path]:
    """The server with TLS; gives the authority's certificate for its clients. Beside its data lies an expired pair."""
    authority = Authority()
    for prefix, days in (("server", 5), ("ended", -2)):
        for suffix, text in zip(("crt", "key"), authority.pair(days=days), strict=True):
            server.site.write_file(server.data_directory / f"{prefix}.{suffix}", text)
    trusted = directory / "authority.crt"
    trusted.write_text(authority.certificate)
    async with await server.connect() as admin:
        await admin.execute("ALTER SYSTEM SET ssl = on")
        await admin.execute("SELECT pg_reload_conf()")
    yield trusted
    async with await server.connect() as admin:
        await admin.execute("ALTER SYSTEM RESET ssl")
        await admin.execute("SELECT pg_reload_conf()")
