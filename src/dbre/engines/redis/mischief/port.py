"""The deeds that Redis and Valkey know: writes that wait, sessions that are ended, another certificate."""

import signal
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dbre.core.errors import UsageError
from dbre.core.text import counted
from dbre.engines.redis.activity import parse_clients
from dbre.engines.redis.backup.asking import conversation
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection
from dbre.engines.redis.mischief.certificate import OtherCertificate
from dbre.engines.redis.session import server_time
from dbre.ports.engine import Access
from dbre.ports.mischief import Deed, DeedPort, Seen, unknown_deed

__all__ = ["DEEDS", "RedisMischief"]

_LEASE_MILLISECONDS = 4000  # renewed each second: ends by itself where nobody renews it
_ANSWER_SECONDS = 0.5
DEEDS: Mapping[Deed, str] = {
    Deed.STALL_WRITES: "+client|pause +client|unpause +zadd ~dbre:hb:*",
    Deed.END_SESSIONS: "+client|list +client|kill",
    Deed.CERTIFICATE: "+config|get +config|set",
}


class RedisMischief:
    """Implements ``ports.mischief``."""

    deeds = DEEDS
    stop_signal = signal.SIGTERM

    def __init__(self, access: Access) -> None:
        self._access = access

    async def now(self) -> datetime:
        """What time the server takes it to be."""
        return server_time(await _run(self._access, "time"))

    def deed(self, deed: Deed, tag: str) -> DeedPort:
        """One of them."""
        if deed is Deed.STALL_WRITES:
            return StalledWrites(self._access, tag)
        if deed is Deed.END_SESSIONS:
            return EndSessions(self._access, tag)
        if deed is Deed.CERTIFICATE:
            return OtherCertificate(self._access, tag)
        raise unknown_deed("Redis", deed, self.deeds)


class StalledWrites:
    """``CLIENT PAUSE n WRITE``: reads and our own command that ends it are let through."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing can be in the way."""
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first seconds."""
        await self.tend(note)
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - there is nothing to remember
        """A few more seconds."""
        await _run(self._access, "mischief_pause", _LEASE_MILLISECONDS)

    async def look(self, note: Mapping[str, Any]) -> Seen:  # noqa: ARG002 - the server's state is all
        """Try a write that changes nothing."""
        async with conversation(self._access, what="chaos") as connection:
            try:
                await connection.run(named("heartbeat_check"), limit_seconds=_ANSWER_SECONDS)
            except TimeoutError:
                await _run(self._access, "own_session")  # it is the write that waits, not the server
                return Seen(True, f"a write is not answered within {_ANSWER_SECONDS:.1f} s")
        return Seen(False, "writes are answered")

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - the server's state is all
        """Let them go on."""
        await _run(self._access, "mischief_unpause")


class EndSessions:
    """There is nothing to put back: clients connect again, or show that they cannot."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag
        self._count = 0
        self._is_over = False

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that what is asked can be told apart here."""
        if asked["database"] and not asked["database"].isdecimal():
            raise UsageError("a database of Redis is a number", hint="write database=0, or choose by user or application")
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first ones."""
        await self.tend(note)
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """A few more."""
        async with conversation(self._access, what="chaos") as connection:
            for number in await self._clients(connection, note):
                found = await connection.run(
                    named("mischief_kill"), number, limit_seconds=self._access.timeouts.statement_seconds
                )
                self._count += int(found)

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """What the server said when they were ended."""
        if not self._count and not self._is_over:
            await self.tend(note)  # nobody was there
        return Seen(self._count > 0 and not self._is_over, f"{counted(self._count, 'session')} ended")

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing was changed
        """No more of them."""
        self._is_over = True

    async def _clients(self, connection: Connection, asked: Mapping[str, Any]) -> list[str]:
        """Everybody's sessions but ours and those of replication; the one that came last first."""
        text = await connection.run(named("sessions"), limit_seconds=self._access.timeouts.statement_seconds)
        found = []
        for fields in parse_clients(text):
            is_other = not fields.get("name", "").startswith("dbre") and not set(fields.get("flags", "")) & set("MS")
            wanted = {"user": asked["user"], "name": asked["application"], "db": asked["database"]}
            if is_other and all(not value or fields.get(key) == value for key, value in wanted.items()):
                found.append(fields["id"])
        return sorted(found, key=int, reverse=True)[: asked["sessions"]]


async def _run(access: Access, name: str, *parameters: object) -> Any:
    async with conversation(access, what="chaos") as connection:
        return await connection.run(named(name), *parameters, limit_seconds=access.timeouts.statement_seconds)
