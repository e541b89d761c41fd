"""What tests of several engines share: certificates for servers that speak TLS."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbre.lab.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A server certificate for the name ``localhost`` only, its key, and the authority that signed it."""

    ca: Path
    certificate: Path
    key: Path
    other_ca: Path  # signed nothing


@pytest.fixture(scope="session")
def certificates(lab_site: Site) -> Certificates:
    """Files that the servers' account can read, and so can we."""
    directory = lab_site.make_directory(lab_site.directory / "tls", mode=0o755)
    ca_key, ca = _authority("dbre test authority")
    _, other = _authority("another authority")
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    server = _builder("localhost", ca.subject, key).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())

    def pem(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Certificates(
        ca=_readable(lab_site.write_file(directory / "ca.pem", pem(ca))),
        certificate=_readable(lab_site.write_file(directory / "server.pem", pem(server))),
        key=lab_site.write_file(directory / "server.key", private.decode()),
        other_ca=_readable(lab_site.write_file(directory / "other.pem", pem(other))),
    )


def _readable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(name, subject, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return key, builder.sign(key, hashes.SHA256())


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
