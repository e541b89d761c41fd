"""Deeds on a replica: its applier stopped, or late."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.mischief.talking import Talk, delay_statement, talking
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["ReplayDelay", "ReplayPause"]

_STOPPED = "No"


async def _state(talk: Talk) -> Row | None:
    """Its upstream's status; None where it follows nobody (any more)."""
    found = await talk.rows("upstreams")
    return found[0] if found else None


def _applier(row: Row) -> str:
    return str(row.get("Slave_SQL_Running") or row.get("Replica_SQL_Running"))


def _receiver(row: Row) -> str:
    return str(row.get("Slave_IO_Running") or row.get("Replica_IO_Running"))


async def _check(access: Access) -> Row:
    async with talking(access) as talk:
        found = await talk.rows("upstreams")
    if len(found) != 1:
        many = "follows several servers" if found else "is not a replica"
        raise PrecheckFailed(f"MySQL at {access.address} {many}", hint="name a replica of one server")
    if _STOPPED in (_applier(found[0]), _receiver(found[0])):
        raise PrecheckFailed(f"replication at {access.address} is stopped already", hint="see why: SHOW REPLICA STATUS")
    return found[0]


class ReplayPause:
    """The replica receives and does not apply."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that it is a replica that applies."""
        await _check(self._access)
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop the applier."""
        async with talking(self._access) as talk:
            await talk.rows("mischief_stop_replay")
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:  # noqa: ARG002 - the server's state is all
        """Ask for the applier."""
        async with talking(self._access) as talk:
            row = await _state(talk)
        if row is None:
            return Seen(False, "it follows nobody any more: it was promoted")
        return Seen(_applier(row) == _STOPPED, f"the applier runs: {_applier(row)}, the receiver: {_receiver(row)}")

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - the server's state is all
        """Let it go on, unless a promotion made an end of it."""
        async with talking(self._access) as talk:
            row = await _state(talk)
            if row is not None and _applier(row) == _STOPPED:
                await talk.rows("mischief_start")


class ReplayDelay:
    """Transactions are applied so many seconds later than the primary wrote them."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the delay that there is."""
        row = await _check(self._access)
        return {**asked, "before": int(row["SQL_Delay"] or 0), "wanted": round(asked["delay_seconds"])}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop both threads, as the server wants it, and start them with the delay."""
        await self._set(note["wanted"])
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask for the delay."""
        async with talking(self._access) as talk:
            row = await _state(talk)
        if row is None:
            return Seen(False, "it follows nobody any more: it was promoted")
        delay = int(row["SQL_Delay"] or 0)
        lag = row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source"))
        is_whole = delay == note["before"] and _STOPPED not in (_applier(row), _receiver(row))
        return Seen(not is_whole, f"a delay of {delay} s, {lag} s behind, the applier runs: {_applier(row)}")

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put back the delay that there was, also where somebody died in the middle of it."""
        async with talking(self._access) as talk:
            row = await _state(talk)
        if row is None:
            return
        if int(row["SQL_Delay"] or 0) != note["before"]:
            await self._set(note["before"])
        elif _STOPPED in (_applier(row), _receiver(row)):
            async with talking(self._access) as talk:
                await talk.rows("mischief_start")

    async def _set(self, seconds: int) -> None:
        async with talking(self._access) as talk:
            await talk.rows("mischief_stop")
            await talk.run(delay_statement(str(talk.connection.product), seconds))
            await talk.rows("mischief_start")
