"""What a MariaDB server keeps of its binary log, and how a file of it is ended."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dbre.engines.mysql.backup.log_room import room_problems
from dbre.engines.mysql.backup.source import ask, read_source
from dbre.engines.mysql.backup.survey import require_position
from dbre.ports.backup.log_source import BacklogState, Departure, LogBacklog
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access

__all__ = ["MariaDbLogSource"]

_PARTIAL = ".partial"


class MariaDbLogSource:
    """Implements ``ports.backup.log_source.LogSource``.

    The server keeps its log by age for everybody, and nothing for one receiver: there is no backlog of ours on it, and
    nobody can be locked out. Two receivers get the same files.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def backlog(self, name: str) -> LogBacklog:  # noqa: ARG002 - the server knows no names of receivers
        """Where the log ends. What was removed before it was received is found by the receiver."""
        source = await read_source(self._access)
        position = await require_position(self._access, source)
        (mark,), files = await ask(self._access, "backup_log_mark", "backup_logs")
        return LogBacklog(
            state=BacklogState.KEPT,
            position=position,
            kept_from=None,
            kept_bytes=None,
            safe_bytes=None,
            is_active=None,
            active_by=None,
            flushed=None,
            change_mark=str(mark["change_mark"]),
            problems=await asyncio.to_thread(room_problems, source, mark, files),
        )

    async def release(self, name: str) -> None:
        """Nothing: the server keeps nothing for one receiver."""

    async def end_file(self) -> LogPosition:
        """FLUSH BINARY LOGS; where the file ended."""
        position = await self._position()
        await ask(self._access, "backup_end_file")
        return position

    def departures(self, name: str, content: bytes) -> Sequence[Departure]:  # noqa: ARG002 - the port's signature
        """None: there are no history files."""
        return ()

    def system_of(self, path: Path) -> str | None:  # noqa: ARG002 - the port's signature
        """None: a binary log names its server's number, which its name says too, and not its data."""
        return None

    def is_whole(self, path: Path) -> bool:
        """The receiver gives a file its name when it is whole."""
        return not path.name.endswith(_PARTIAL)

    def is_dispensable(self, name: str) -> bool:  # noqa: ARG002 - the port's signature
        """Never."""
        return False

    async def _position(self) -> LogPosition:
        return await require_position(self._access, await read_source(self._access))
