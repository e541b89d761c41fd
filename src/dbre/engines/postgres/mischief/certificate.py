"""Another certificate is shown to clients: the parameters that name the files are changed, and the server reads them anew."""

import asyncio
import hashlib
import socket
import ssl
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from dbre.core.errors import PrecheckFailed, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.units import format_duration
from dbre.engines.postgres.mischief.forcing import Forced
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["OtherCertificate"]

_ASK_FOR_TLS = struct.pack("!II", 8, 80877103)  # SSLRequest
_SECONDS = 5.0
_VERIFYING = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)


class _File(Forced):
    """One of the two parameters."""

    def __init__(self, access: Access, tag: str, parameter: str) -> None:
        super().__init__(access, tag)
        self.parameter = parameter

    def wanted(self, asked: Mapping[str, Any]) -> str:
        """The other file."""
        return str(asked["file"])

    async def check(self) -> None:
        """The pair is looked at as a whole."""

    async def detail(self, note: Mapping[str, Any]) -> str:  # noqa: ARG002 - the pair is looked at as a whole
        """Nothing of its own."""
        return ""


class OtherCertificate:
    """Certificate and key, forced and put back together; seen by shaking hands with the server."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self._certificate, self._key = _File(access, tag, "ssl_cert_file"), _File(access, tag, "ssl_key_file")

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that the server shows one, and that we shall be let in without looking at it."""
        if self._access.tls in _VERIFYING:
            raise PrecheckFailed(
                f"dbre itself checks the certificate of {self._access.address}, and could not take the fault back",
                hint="run it with a configuration whose tls is require",
            )
        shown = await self._shown()
        if shown is None:
            raise PrecheckFailed(f"PostgreSQL at {self._access.address} speaks no TLS", hint="there is nothing to expire")
        return {
            **asked,
            "shown": shown.hex(),
            "certificate": await self._certificate.prepare({"file": asked["certificate"]}),
            "key": await self._key.prepare({"file": asked["key"]}),
        }

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """The key first: until both are there the server goes on with the old pair."""
        await self._key.begin(note["key"])
        await self._certificate.begin(note["certificate"])
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Shake hands with the server."""
        shown = await self._shown()
        is_other = shown is not None and hashlib.sha256(shown).hexdigest() == note["fingerprint"]
        return Seen(is_other, _told(shown))

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put both back."""
        await self._key.end(note["key"])
        await self._certificate.end(note["certificate"])

    async def _shown(self) -> bytes | None:
        return await asyncio.to_thread(_shown_at, self._access.address)


def _shown_at(address: Address) -> bytes | None:
    """The certificate that a client is shown; None where the server speaks no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, and nothing is told to its owner
    try:
        with socket.create_connection((address.host, address.port), timeout=_SECONDS) as plain:
            plain.sendall(_ASK_FOR_TLS)
            if plain.recv(1) != b"S":
                return None
            with context.wrap_socket(plain) as wrapped:
                return wrapped.getpeercert(binary_form=True)
    except OSError as error:
        raise Unreachable(f"PostgreSQL at {address}: no TLS handshake: {error}") from error


def _told(shown: bytes | None) -> str:
    if shown is None:
        return "no TLS is spoken"
    left = (x509.load_der_x509_certificate(shown).not_valid_after_utc - datetime.now(UTC)).total_seconds()
    when = f"ends in {format_duration(left)}" if left >= 0 else f"ended {format_duration(-left)} ago"
    return f"the certificate that is shown {when}"
