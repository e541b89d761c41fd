"""What a Redis server keeps of its append-only file, and how a file of it is ended."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import Unreachable
from dbre.engines.redis.backup.asking import ask
from dbre.engines.redis.backup.source import read_source, require_log_end
from dbre.ports.backup.log_source import BacklogState, Departure, LogBacklog
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access

__all__ = ["RedisLogSource"]

_PARTIAL = ".partial"
_POLL_SECONDS = 0.1
_REWRITE_SECONDS = 3600.0
_FILE_BITS = 32


class RedisLogSource:
    """Implements ``ports.backup.log_source.LogSource``. The server keeps nothing for a receiver; two get the same files."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def backlog(self, name: str) -> LogBacklog:  # noqa: ARG002 - the server knows no names of receivers
        """Where the log ends. What was rewritten before it was received is found by the receiver."""
        return LogBacklog(
            state=BacklogState.KEPT,
            position=await self._position(),
            kept_from=None,
            kept_bytes=None,
            safe_bytes=None,
            is_active=None,
            active_by=None,
            flushed=None,
        )

    async def release(self, name: str) -> None:
        """Nothing: the server keeps nothing for one receiver."""

    async def end_file(self) -> LogPosition:
        """BGREWRITEAOF, with which the server begins another file; nothing where the present one is empty.

        Raises: Unreachable where that takes more than an hour.
        """
        before = await self._position()
        if not before.value & (2**_FILE_BITS - 1):
            return before
        await ask(self._access, "backup_end_file")
        deadline = time.monotonic() + _REWRITE_SECONDS
        while (await self._position()).value >> _FILE_BITS == before.value >> _FILE_BITS:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"Redis at {self._access.address} did not rewrite its append-only file within {_REWRITE_SECONDS:.0f} s",
                    hint="see aof_last_bgrewrite_status in INFO persistence",
                )
            await asyncio.sleep(_POLL_SECONDS)
        return before

    def departures(self, name: str, content: bytes) -> Sequence[Departure]:  # noqa: ARG002 - the port's signature
        """None: there are no history files."""
        return ()

    def system_of(self, path: Path) -> str | None:  # noqa: ARG002 - the port's signature
        """None: files do not say."""
        return None

    def is_whole(self, path: Path) -> bool:
        """The receiver gives a file its name when it is whole."""
        return not path.name.endswith(_PARTIAL)

    def is_dispensable(self, name: str) -> bool:  # noqa: ARG002 - the port's signature
        """Never."""
        return False

    async def _position(self) -> LogPosition:
        return await asyncio.to_thread(require_log_end, await read_source(self._access), self._access)
