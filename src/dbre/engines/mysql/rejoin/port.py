"""The files of one MariaDB server, replaced by a copy of the primary's that mariadb-backup makes beside them."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

from dbre.core.errors import DbreError
from dbre.core.fleet import Instance
from dbre.core.programs.account import Account, give
from dbre.core.programs.cache import cache_directory
from dbre.core.programs.processes import kill_serving
from dbre.core.programs.syncing import sync_directory
from dbre.core.text import printable
from dbre.engines.mysql.backup.assembling import prepare_copy
from dbre.engines.mysql.backup.copy_notes import read_notes
from dbre.engines.mysql.backup.copying import take_copy
from dbre.engines.mysql.backup.programs import BACKUP, require_tool
from dbre.engines.mysql.backup.source import read_source
from dbre.engines.mysql.host import PROGRAMS, READ_ONLY, MariaDbHost
from dbre.engines.mysql.rejoin.donor import why_not_from
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access
from dbre.ports.rejoin import Aligned, Kinship, NotAligned, Relation, Way
from dbre.ports.rejoin_workplace import Phase, Workplace
from dbre.ports.succession import Following

__all__ = ["MariaDbRejoin"]

_FILES_OF_DATA = ("ibdata1", "aria_log_control")
_OWN = (".pem", ".key", ".crt", ".cnf")
_LARGEST_OWN = 1 << 20
_SETTINGS = "settings.json"
_END_SECONDS = 60.0


class MariaDbRejoin:
    """Implements ``ports.rejoin.RejoinPort``. There is one way: a copy. What only this server had goes with its files."""

    def __init__(self, instance: Instance) -> None:
        self._host = MariaDbHost(instance)
        self._name = instance.name
        self._work = Workplace(self._host.data_directory())

    async def look(self, source: Access) -> Kinship:
        """Whether there is data, and whether it can be replaced; nobody can tell its history but the server itself."""
        await self._host.see_place()
        data = self._work.data
        is_cut_short = self._work.phase is Phase.SWAPPING
        is_there = (data / _FILES_OF_DATA[0]).is_file()
        relation = Relation.UNFINISHED if is_cut_short else Relation.UNKNOWN if is_there else Relation.EMPTY
        return Kinship(
            relation=relation,
            timeline=None,
            upstream_timeline=0,
            fork=None,
            own_slot=None,
            why_no_rewind=None,
            why_no_clone=await self._why_no_clone(source),
        )

    async def align(self, source: Access, following: Following, *, is_clone_wanted: bool = False) -> Aligned:  # noqa: ARG002
        """Copy, prepare, put it into the place of the former data; the file of settings keeps it from writing from here on."""
        begun = time.monotonic()
        await self._host.see_place()
        await self._end_what_is_at_work()
        account = self._account()
        self._work.open(account)
        if self._work.phase is not Phase.SWAPPING:
            seen = await self.look(source)
            if seen.why_no_clone is not None:
                raise NotAligned(f"{self._name} cannot be copied anew: {seen.why_no_clone}", hint="see dbre ha rejoin --check")
            await self._close_next_start()
            await self._copy(source, account)
        await asyncio.to_thread(self._finish)
        notes = await asyncio.to_thread(read_notes, self._work.data)
        position = notes.binlog[2] if notes.binlog is not None else ""
        return Aligned(way=Way.CLONE, seconds=time.monotonic() - begun, position=printable(position, limit=10_000))

    async def settle(self) -> None:
        """The former data goes; how it starts is again what its settings said before."""
        if self._work.phase is not None:
            raise NotAligned(f"the files of {self._name} were not brought to their end", hint="run dbre ha rejoin again")
        kept = self._work.root / _SETTINGS
        if kept.is_file():
            await self._host.keep_settings({READ_ONLY: json.loads(kept.read_text())[READ_ONLY]})
        await asyncio.to_thread(self._work.remove)

    async def _copy(self, source: Access, account: Account) -> None:
        """The former data is not touched: where this fails it is whole, and can be started again. Raises: NotAligned."""
        work, place = self._work, self._place(account)
        await asyncio.to_thread(work.clear)
        work.begin(Phase.CLONING, account)
        work.new.mkdir(mode=0o700)
        give(work.new, account)
        told = await read_source(source)
        try:
            await take_copy(source, told, work.new, _unheard, place=place)
            await prepare_copy(await require_tool(BACKUP, place, version=told.version_text), work.new, None, place)
            if (await asyncio.to_thread(read_notes, work.new)).binlog is None:  # it would be given everything once more
                raise NotAligned("the copy does not say where the binary log was when it was taken")
            await asyncio.to_thread(self._carry_own)
        except DbreError as error:
            await asyncio.to_thread(work.clear)  # room for the server itself
            work.end()
            raise NotAligned(
                f"{self._name} could not be copied anew: {error.message}",
                hint=f"its former data is as it was, and starts read-only. {error.hint or 'See its log'}; then once more",
                context=error.context,
            ) from error
        work.begin(Phase.SWAPPING, account)

    def _finish(self) -> None:
        self._work.swap()
        self._work.end()

    def _carry_own(self) -> None:
        """Certificates and settings that lie in the data directory are the server's own."""
        if not self._work.data.is_dir():
            return
        for path in sorted(self._work.data.iterdir()):
            is_plain = path.is_file() and not path.is_symlink()
            if path.suffix in _OWN and is_plain and path.stat().st_size <= _LARGEST_OWN:
                shutil.copy2(path, self._work.new / path.name, follow_symlinks=False)
                if os.geteuid() == 0:
                    shutil.chown(self._work.new / path.name, path.stat().st_uid, path.stat().st_gid)
        sync_directory(self._work.new)

    async def _close_next_start(self) -> None:
        """What it said before is kept until the server follows, also over crashes. Raises: UsageError, Denied."""
        kept = self._work.root / _SETTINGS
        if not kept.is_file():
            before = (await self._host.kept_settings() or {}).get(READ_ONLY)
            temporary = kept.with_suffix(".new")
            temporary.write_text(json.dumps({READ_ONLY: before}))
            temporary.replace(kept)
            sync_directory(self._work.root)
        await self._host.keep_settings({READ_ONLY: "ON"})

    async def _end_what_is_at_work(self) -> None:
        """A copy whose starter was killed goes on; the server itself must have been stopped before. Raises: NotAligned."""
        if await asyncio.to_thread(self._host.processes):
            raise NotAligned(f"{self._name} runs: its files are not touched", hint="stop it first")
        left = await asyncio.to_thread(
            kill_serving, self._work.root, lambda _, name: name == BACKUP or name in PROGRAMS, timeout_seconds=_END_SECONDS
        )
        if left:
            raise NotAligned(f"process {left[0].pid} is at work in {self._work.root} and does not end")

    async def _why_no_clone(self, source: Access) -> str | None:
        data = self._work.data
        if self._host.control.settings_file is None:
            return "nothing keeps it from taking writes when it starts: its control: names no settings_file"
        if why := await asyncio.to_thread(_why_not_there, data):
            return why
        return await why_not_from(source, await read_source(source), target=data, place=self._place(self._account()))

    def _account(self) -> Account:
        return self._host.owner()

    def _place(self, account: Account) -> Place:
        return Place(account=account, cache=cache_directory(account, os.environ), bindir=self._host.control.bindir)


async def _unheard(done: int, total: int | None) -> None:
    """How far it is is seen by the size of the directory."""


def _why_not_there(data: Path) -> str | None:
    """What keeps a directory from taking the place of this one."""
    if os.path.ismount(data):
        return f"{data} is a mount point: the copy cannot take its place"
    found = list(data.iterdir()) if data.is_dir() else []
    if found and not all((data / name).is_file() for name in _FILES_OF_DATA):
        return f"{data} is neither empty nor has all of its files: {', '.join(_FILES_OF_DATA)}"
    links = sorted(path.name for path in found if path.is_symlink())
    return f"links lead out of {data}: {printable(', '.join(links), limit=200)}" if links else None
