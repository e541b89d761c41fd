"""Another certificate is shown to clients: the two settings that name its files are changed at once."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address
from dbre.engines.redis.backup.asking import conversation
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen
from dbre.ports.shown_certificate import require_no_check_of_ours, seen_as, shown_at

__all__ = ["OtherCertificate"]

_CERTIFICATE, _KEY, _PORT = "tls-cert-file", "tls-key-file", "tls-port"


class OtherCertificate:
    """Until a restart; the server's file of settings stays as it is."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that the server shows one, and that we shall be let in without looking at it."""
        require_no_check_of_ours(self._access)
        async with conversation(self._access, what="chaos") as connection:
            before = {name: await self._setting(connection, name) for name in (_CERTIFICATE, _KEY, _PORT)}
        if before[_PORT] in ("", "0"):
            raise PrecheckFailed(f"Redis at {self._access.address} speaks no TLS", hint="there is nothing to expire")
        note = {**asked, "port": int(before[_PORT]), "before": [before[_CERTIFICATE], before[_KEY]]}
        return {**note, "shown": (await self._shown(note)).hex()}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Both at once; the server refuses a pair that does not fit."""
        await self._show(note["certificate"], note["key"])
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Shake hands with the server."""
        return seen_as(await self._shown(note), note["fingerprint"])

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put both back, unless others were set meanwhile."""
        async with conversation(self._access, what="chaos") as connection:
            now = [await self._setting(connection, name) for name in (_CERTIFICATE, _KEY)]
        if now == [note["certificate"], note["key"]]:
            await self._show(*note["before"])

    async def _show(self, certificate: str, key: str) -> None:
        async with conversation(self._access, what="chaos") as connection:
            await connection.run(named("mischief_certificate"), certificate, key, limit_seconds=self._limit)

    async def _setting(self, connection: Connection, name: str) -> str:
        found = await connection.run(named("mischief_setting"), name, limit_seconds=self._limit)
        return str(dict(zip(found[::2], found[1::2], strict=True)).get(name, ""))

    async def _shown(self, note: Mapping[str, Any]) -> bytes:
        return await shown_at(Address(self._access.address.host, note["port"]), "Redis") or b""

    @property
    def _limit(self) -> float:
        return self._access.timeouts.statement_seconds
