"""TLS as a cluster's configuration asks for it."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address, EndpointPurpose, TlsMode
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest

REQUEST = ProbeRequest(purpose=EndpointPurpose.READ, heartbeat_id="tls", sequence=1, fresh=True, deadlines=ProbeDeadlines())


def certificate() -> tuple[bytes, bytes]:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, signed.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
async def tls_server(postgres15: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[PostgresServer, Path]]:
    """The distribution's server: those of the wheel are built without TLS."""
    private, public = certificate()
    for name, text in (("server.key", private), ("server.crt", public)):
        postgres15.site.write_file(postgres15.data_directory / name, text.decode())
    await switch_tls(postgres15, "on")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(public)
    yield postgres15, trusted
    await switch_tls(postgres15, "off")


async def switch_tls(server: PostgresServer, state: str) -> None:
    async with await server.connect() as admin:
        await admin.execute(f"ALTER SYSTEM SET ssl = {state}".encode())
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
    for _ in range(100):
        async with await server.connect() as admin:
            if await (await admin.execute("SHOW ssl")).fetchone() == (state,):
                return
    pytest.fail(f"ssl never became {state}")


async def test_modes_of_tls(tls_server: tuple[PostgresServer, Path], tmp_path: Path) -> None:
    server, trusted = tls_server
    stranger = tmp_path / "stranger.crt"
    stranger.write_bytes(certificate()[1])
    engine = PostgresEngine()
    encrypted = {}
    for mode, authority in (
        (TlsMode.DISABLE, None),
        (TlsMode.PREFER, None),
        (TlsMode.REQUIRE, None),
        (TlsMode.VERIFY_CA, trusted),
        (TlsMode.VERIFY_FULL, trusted),
        (TlsMode.VERIFY_FULL, stranger),
        (TlsMode.VERIFY_FULL, None),
    ):
        access = replace(server.access(), tls=mode, tls_ca_file=str(authority) if authority else None)
        probe = engine.probe(access)
        reading = await probe.measure(REQUEST)
        await probe.aclose()
        encrypted[mode, authority] = (reading.outcome, reading.code, reading.phases.tls_seconds is not None)
    assert encrypted == {
        (TlsMode.DISABLE, None): (Outcome.GOOD, None, False),
        (TlsMode.PREFER, None): (Outcome.GOOD, None, True),
        (TlsMode.REQUIRE, None): (Outcome.GOOD, None, True),
        (TlsMode.VERIFY_CA, trusted): (Outcome.GOOD, None, True),
        (TlsMode.VERIFY_FULL, trusted): (Outcome.GOOD, None, True),
        (TlsMode.VERIFY_FULL, stranger): (Outcome.BAD, "tls", True),
        (TlsMode.VERIFY_FULL, None): (Outcome.BAD, "tls", True),  # the system's authorities do not know the lab
    }


async def test_a_certificate_for_another_name_is_refused(tls_server: tuple[PostgresServer, Path]) -> None:
    server, trusted = tls_server
    access = replace(
        server.access(),
        address=Address("localhost", server.address.port),
        tls=TlsMode.VERIFY_FULL,
        tls_ca_file=str(trusted),
    )
    handle = PostgresEngine().connect(access)
    with pytest.raises(Unreachable, match="does not match"):
        await handle.session.identify()
    await handle.aclose()


async def test_verify_ca_without_an_authority_is_a_mistake_of_ours(postgres18: PostgresServer) -> None:
    handle = PostgresEngine().connect(replace(postgres18.access(), tls=TlsMode.VERIFY_CA))
    with pytest.raises(UsageError, match="needs tls_ca_file"):
        await handle.session.identify()
    await handle.aclose()
