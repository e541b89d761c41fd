"""``certificate-expiry``: clients are shown a certificate that has ended: a prepared one, or one made with the same names."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.faults.asking import AskedFault
from dbre.capabilities.chaos.injection.local_process import main_process
from dbre.capabilities.chaos.injection.model import FaultKind, Parameters
from dbre.core.config import Duration, between
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.text import printable
from dbre.ports.mischief import Deed

__all__ = ["CERTIFICATE_EXPIRY", "CertificateExpiry", "CertificateParameters"]

_FilePath = Annotated[str, Field(pattern=r"^/", max_length=4000)]


class CertificateParameters(Parameters):
    """Which certificate."""

    certificate: _FilePath | None = Field(None, description="a file of the server's machine; default: one is made")
    key: _FilePath | None = Field(None, description="of that certificate, readable by the server's account")
    ended: Annotated[Duration, between("1m", "3650d")] = Field(
        timedelta(days=1), description="so long ago, of one that is made"
    )

    @model_validator(mode="after")
    def _is_a_pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("certificate and key belong together", hint="name both files, or neither")
        return self

    def asked(self) -> dict[str, Any]:
        """For the engine's facet; the names of made files are added."""
        return {"certificate": self.certificate, "key": self.key}


class CertificateExpiry(AskedFault):
    """The engine shows another certificate; where none was prepared, it is made on the server's machine."""

    async def prepare(self) -> Mapping[str, Any]:
        """See that the pair can be read, or where it is to be made."""
        asked: CertificateParameters = self.scene.parameters
        if asked.certificate is not None:
            made = {"fingerprint": await asyncio.to_thread(_fingerprint, Path(asked.certificate))}
            return {**await self._deed.prepare({**asked.asked(), **self._time}), **made}
        place = Path(tempfile.gettempdir()) / f"dbre-chaos-{self.scene.id}"
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        owner = await asyncio.to_thread(os.stat, f"/proc/{main.pid}")
        files = {"certificate": str(place / "server.crt"), "key": str(place / "server.key")}
        note = await self._deed.prepare({**files, **self._time})
        return {**note, "directory": str(place), "user": owner.st_uid, "group": owner.st_gid}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the pair if it is to be made, and let the server show it."""
        if "directory" in inverse:
            made = await asyncio.to_thread(_make_pair, inverse, self.scene.parameters.ended)
            inverse = {**inverse, "fingerprint": made}
        return await super().begin(inverse)

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Put the old one back, and take away what was made."""
        await super().end(inverse)
        if "directory" in inverse:
            await asyncio.to_thread(shutil.rmtree, inverse["directory"], ignore_errors=True)

    @property
    def _time(self) -> dict[str, Any]:
        return {"seconds": self.scene.seconds}


def _fingerprint(path: Path) -> str:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PrecheckFailed(
            f"{printable(str(path))} is no certificate that can be read: {error}", hint="name one as PEM"
        ) from error
    return hashlib.sha256(found.public_bytes(serialization.Encoding.DER)).hexdigest()


def _make_pair(inverse: Mapping[str, Any], ended: timedelta) -> str:
    """A pair with the names of the present certificate, signed by itself, for the server's account only."""
    like = x509.load_der_x509_certificate(bytes.fromhex(inverse["shown"]))
    key, end = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) - ended
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=90))
        .not_valid_after(end)
    )
    for extension in like.extensions:
        if extension.oid == x509.SubjectAlternativeName.oid:
            builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    place = Path(inverse["directory"])
    place.mkdir(mode=0o700)  # fails where somebody else has made it
    for name, content in (("server.crt", made.public_bytes(serialization.Encoding.PEM)), ("server.key", private)):
        with os.fdopen(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), inverse["user"], inverse["group"])
    if os.geteuid() == 0:
        os.chown(place, inverse["user"], inverse["group"])
    return hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


CERTIFICATE_EXPIRY = FaultKind(
    name="certificate-expiry",
    summary="clients are shown a certificate that has ended; sessions that there are go on",
    privilege="ALTER SYSTEM on two parameters and a reload; RELOAD; +config|set; the server's account or root on its machine",
    proof="a handshake of TLS",
    undo="the files that were there before; seen in a handshake",
    parameters=CertificateParameters,
    make=partial(CertificateExpiry, deed=Deed.CERTIFICATE),
    deed=Deed.CERTIFICATE,
    is_local=True,
)
