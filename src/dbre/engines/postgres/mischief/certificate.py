"""Another certificate is shown to clients: the parameters that name the files are changed, and the server reads them anew."""

import socket
import struct
from collections.abc import Mapping
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.engines.postgres.mischief.forcing import Forced
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen
from dbre.ports.shown_certificate import require_no_check_of_ours, seen_as, shown_at

__all__ = ["OtherCertificate"]

_ASK_FOR_TLS = struct.pack("!II", 8, 80877103)  # SSLRequest


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
        require_no_check_of_ours(self._access)
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
        return seen_as(await self._shown(), note["fingerprint"])

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put both back."""
        await self._key.end(note["key"])
        await self._certificate.end(note["certificate"])

    async def _shown(self) -> bytes | None:
        return await shown_at(self._access.address, "PostgreSQL", _ask_for_tls)


def _ask_for_tls(plain: socket.socket) -> bool:
    plain.sendall(_ASK_FOR_TLS)
    return plain.recv(1) == b"S"
