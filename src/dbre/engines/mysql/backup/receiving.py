"""The binary log of a server, received as it is written: mariadb-binlog is supervised, what it wrote is made durable and named.

The program writes into a directory of its own below the spool. The file that is being written appears in the spool as
``NAME.partial``, by a second link; when the next one begins it is whole, and gets its name. After a lost connection the
file is received anew from its beginning; the earlier part keeps its place until the new one is as long.
"""

import asyncio
import os
import re
import shutil
from pathlib import Path

from dbre.core.errors import Conflict, Denied, Unreachable
from dbre.core.programs.account import give, require_reachable
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.syncing import sync_directory, sync_file
from dbre.core.text import one_line
from dbre.engines.mysql.backup.binlog_scan import whole_bytes
from dbre.engines.mysql.backup.option_file import login_file
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.engines.mysql.backup.programs import BINLOG, require_tool
from dbre.engines.mysql.backup.source import ask, read_source
from dbre.engines.mysql.backup.survey import require_position
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import LogPosition, Place
from dbre.ports.engine import Access

__all__ = ["BinlogReceiver"]

_POLL_SECONDS = 0.2
_PARTIAL = ".partial"
_WORK = "receiving"
_PURGED = re.compile(r"Could not find first log file name|error 1236|Could not open log file", re.IGNORECASE)
_DENIED = re.compile(r"Access denied", re.IGNORECASE)
_FIRST_REPLICA_NUMBER = 3_000_000_000  # server numbers of people are small


class BinlogReceiver:
    """Implements ``ports.backup.engine.LogReceiver``."""

    def __init__(self, access: Access, order: ReceiveOrder, *, place: Place) -> None:
        self._access = access
        self._order = order
        self._place = place
        self._flushed: LogPosition | None = None
        self._known: tuple[BinlogName, int, int] | None = None  # file, its size when looked at, where its events end

    def flushed(self) -> LogPosition | None:
        """Up to where whole events are on this machine's disk."""
        return self._flushed

    async def run(self) -> None:
        """Receive until cancelled.

        Raises: Unreachable where the connection ends; LogGap where the server no longer has the next file; Denied, Unsupported;
            DirectoryUnusable.
        """
        source = await read_source(self._access)
        await require_position(self._access, source)
        program = await require_tool(BINLOG, self._place, version=source.version_text)
        first = await self._first_file(source.server_id)
        work, self._known = self._order.spool / _WORK, None
        require_reachable(self._order.spool, self._place.account)
        await asyncio.to_thread(self._clear, work)
        with login_file(self._access, self._place.account) as login:
            words = [
                *await dies_with_us(self._place.account, signal_name="TERM"),
                program,
                f"--defaults-file={login}",
                "--read-from-remote-server",
                "--raw",
                "--stop-never",
                f"--stop-never-slave-server-id={self._replica_number()}",
                f"--result-file={work}/{source.server_id}-",
                first.on_server,
            ]
            async with spawn(
                words, account=self._place.account, directory=work, on_line=lambda _: None, program=BINLOG
            ) as child:
                await self._follow(child, work)

    async def _first_file(self, server_id: int) -> BinlogName:
        """Where the spool ends, or where the order says, or the oldest file that the server has."""
        (rows,) = await ask(self._access, "backup_logs")
        there = [BinlogName.of(server_id, str(row["Log_name"])) for row in rows]
        last = await asyncio.to_thread(self._last_in_spool, server_id)
        wanted = last
        if wanted is None and self._order.start is not None and self._order.start.timeline == server_id:
            wanted = BinlogName.of(server_id, self._order.start.text.rpartition(":")[0])
        if wanted is None:
            return there[-1]
        if wanted.number > there[-1].number + 1:
            raise Conflict(
                f"MariaDB at {self._access.address} writes {there[-1].on_server}, and {wanted.on_server} comes next here: "
                "its log was reset",
                hint="take a full copy; files of the old log keep their names in the vault: empty the spool",
            )
        if wanted.number < there[0].number:
            raise LogGap(
                f"MariaDB at {self._access.address} no longer has {wanted.on_server}; its oldest is {there[0].on_server}",
                hint="take a full copy; raise binlog_expire_logs_seconds, so that the log outlives a pause of reception",
                context={"wanted": wanted.on_server, "oldest": there[0].on_server},
            )
        return wanted if wanted.number <= there[-1].number else there[-1]

    def _last_in_spool(self, server_id: int) -> BinlogName | None:
        """The file to receive next: the partial one, else the one after the newest whole one."""
        found = [
            (name, path.name.endswith(_PARTIAL))
            for path in self._order.spool.iterdir()
            if (name := BinlogName.stored(path.name.removesuffix(_PARTIAL))) is not None and name.server_id == server_id
        ]
        if not found:
            return None
        newest, is_partial = max(found, key=lambda one: (one[0].number, not one[1]))
        return newest if is_partial else newest.next

    def _clear(self, work: Path) -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        give(work, self._place.account)

    def _replica_number(self) -> int:
        """A number that no other receiver has: the server ends an earlier session of the same number."""
        return _FIRST_REPLICA_NUMBER + int.from_bytes(os.urandom(4), "big") % 1_000_000_000

    async def _follow(self, child: Child, work: Path) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            has_ended = child.status is not None
            await asyncio.to_thread(self._file, work)
            if has_ended:
                raise self._failure(child.failure(child.status))

    def _file(self, work: Path) -> None:
        """Make durable what was written, give whole files their names."""
        names = sorted(
            (name for path in work.iterdir() if (name := BinlogName.stored(path.name)) is not None), key=lambda one: one.number
        )
        for name in names[:-1]:
            self._seal(work / name.text, name)
        if names:
            self._expose(work / names[-1].text, names[-1])

    def _seal(self, path: Path, name: BinlogName) -> None:
        """The server went on to the next file, so this one is whole."""
        size, end = path.stat().st_size, whole_bytes(path)
        if end != size:
            raise Conflict(
                f"{name.text} was received, and is damaged: its events end at {end} of {size} bytes",
                hint="look at the server's own file: mariadb-binlog --verify-binlog-checksum",
            )
        sync_file(path)
        path.replace(self._order.spool / name.text)
        (self._order.spool / (name.text + _PARTIAL)).unlink(missing_ok=True)
        sync_directory(self._order.spool)
        self._flushed = name.at(size)

    def _expose(self, path: Path, name: BinlogName) -> None:
        """Show the file that is being written, once it is at least as long as what was received of it before."""
        partial = self._order.spool / (name.text + _PARTIAL)
        size = path.stat().st_size
        if not partial.exists() or not partial.samefile(path):
            if partial.exists() and partial.stat().st_size > size:
                return
            beside = path.with_name("shown")
            beside.unlink(missing_ok=True)
            os.link(path, beside)
            beside.replace(partial)
            sync_directory(self._order.spool)
        if self._known is None or self._known[:2] != (name, size):
            sync_file(path)
            resume_at = self._known[2] if self._known is not None and self._known[0] == name else 0
            self._known = (name, size, whole_bytes(path, start=resume_at))
        if self._known[2]:
            self._flushed = name.at(self._known[2])

    def _failure(self, error: ProgramFailed) -> Exception:
        where = f"MariaDB at {self._access.address}"
        if _DENIED.search(error.message):
            return Denied(f"{where}: {one_line(error.message)}", hint="GRANT REPLICATION SLAVE ON *.* TO the user")
        if _PURGED.search(error.message):
            return LogGap(f"{where} no longer has the log that comes next: {one_line(error.message)}", hint="take a full copy")
        return Unreachable(f"{where}: the stream of the binary log ended: {one_line(error.message)}", hint="see its log")
