"""Brokers over TLS: only the one that the URL names is told a password, not another one of the same authority."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.celery_dispatch.publisher import check_broker
from dbre.core.secrets import Secret
from dbre.lab.free_port import choose_port
from dbre.lab.rabbitmq import RabbitMqServer, find_rabbitmq
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running

pytestmark = pytest.mark.slow  # a broker of each kind is started


@dataclass(frozen=True, kw_only=True)
class Encrypted:
    """A broker whose certificate is for the name ``localhost`` alone."""

    scheme: str
    port: int
    ca: Path
    password: Secret

    def check(self, host: str, **options: object) -> str | None:
        user = "dbre" if self.scheme == "amqps" else "default"
        given = {"url": f"{self.scheme}://{user}@{host}:{self.port}/", "timeout": "3s", "tls_ca": str(self.ca), **options}
        return check_broker(BrokerDocument(**given), self.password)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["amqps", "rediss"])
async def encrypted(request: pytest.FixtureRequest, lab_site: Site) -> AsyncIterator[Encrypted]:
    scheme, port = request.param, choose_port()
    files = _certificate(lab_site, lab_site.make_directory(lab_site.directory / f"tls-{scheme}", mode=0o755))
    async with running(_server(scheme, lab_site, port, *files)) as server:
        yield Encrypted(scheme=scheme, port=port, ca=files[0], password=server.password)


def _server(scheme: str, site: Site, port: int, *files: Path) -> LabServer:
    if scheme == "amqps":
        program = installed(lambda: find_rabbitmq(account=site.account))
        return RabbitMqServer("tls-rabbitmq", site, program=program, settings=_rabbitmq(port, *files))
    program = installed(lambda: find_redis(account=site.account))
    return RedisServer("tls-redis-broker", site, program=program, settings=_redis(port, *files))


def _rabbitmq(port: int, ca: Path, certificate: Path, key: Path) -> dict[str, str]:
    return {
        "listeners.ssl.default": str(port),
        "ssl_options.cacertfile": str(ca),
        "ssl_options.certfile": str(certificate),
        "ssl_options.keyfile": str(key),
        "ssl_options.verify": "verify_none",
    }


def _redis(port: int, ca: Path, certificate: Path, key: Path) -> dict[str, str]:
    files = {"tls-ca-cert-file": str(ca), "tls-cert-file": str(certificate), "tls-key-file": str(key)}
    return {"tls-port": str(port), "tls-auth-clients": "no", **files}


def _certificate(site: Site, directory: Path) -> tuple[Path, Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    form = (serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    private = key.private_bytes(serialization.Encoding.PEM, *form).decode()
    public = [site.write_file(directory / one, text) for one in ("ca.pem", "server.pem")]
    for one in public:
        one.chmod(0o644)
    return public[0], public[1], site.write_file(directory / "server.key", private)


async def test_the_broker_that_the_certificate_names_is_used(encrypted: Encrypted) -> None:
    assert await asyncio.to_thread(encrypted.check, "localhost") is None


async def test_a_certificate_for_another_name_is_refused(encrypted: Encrypted) -> None:
    problem = await asyncio.to_thread(encrypted.check, "127.0.0.1")
    assert problem is not None
    assert "certificate is not valid for '127.0.0.1'" in problem


async def test_a_certificate_of_a_stranger_is_refused(encrypted: Encrypted) -> None:
    problem = await asyncio.to_thread(encrypted.check, "localhost", tls_ca=None)
    assert problem is not None
    assert "certificate verify failed" in problem
