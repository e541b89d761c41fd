"""The files of one PostgreSQL server, brought to the history of the primary."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from dbre.core.errors import DbreError
from dbre.core.fleet import Instance
from dbre.core.programs.account import Account
from dbre.core.programs.cache import cache_directory
from dbre.core.programs.processes import kill_serving
from dbre.core.text import printable
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.backup.log_names import lsn
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.conninfo import conninfo_for
from dbre.engines.postgres.forks.fork_point import History, history_of
from dbre.engines.postgres.host import PostgresHost
from dbre.engines.postgres.rejoin.comparing import Fork, fork_between, has_log_beyond, own_history
from dbre.engines.postgres.rejoin.control_data import ControlData, read_control_data, setting_of, targets_of
from dbre.engines.postgres.rejoin.copying import Copying
from dbre.engines.postgres.rejoin.leftovers import find_leftovers, remove_leftovers
from dbre.engines.postgres.rejoin.own_files import put_back, save
from dbre.engines.postgres.standby_files import make_follower, make_primary
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access
from dbre.ports.rejoin import Aligned, Kinship, NotAligned, Relation, Way
from dbre.ports.rejoin_workplace import Phase, Workplace
from dbre.ports.succession import Following

__all__ = ["PostgresRejoin"]

_PROGRAMS = ("pg_rewind", "pg_basebackup", "postgres")
_END_SECONDS = 60.0


class PostgresRejoin:
    """Implements ``ports.rejoin.RejoinPort``."""

    def __init__(self, instance: Instance) -> None:
        self._host = PostgresHost(instance)
        self._name = instance.name
        self._work = Workplace(self._host.data_directory())

    async def look(self, source: Access) -> Kinship:
        """Control file, history files and the log behind the fork against the history of the primary."""
        await self._host.see_place()
        async with asking(source, what="rejoin") as questions:
            told = await questions.row("rejoin_source")
        history = await history_of(source)
        no_clone = _why_no_clone(told, self._work)
        if self._work.phase is not None:
            return _kinship(Relation.UNFINISHED, history, no_clone)
        account, data = self._account(), self._work.data
        if not (data / "PG_VERSION").is_file():
            is_empty = not any(data.iterdir())
            why = no_clone if is_empty else f"{data} is neither empty nor a data directory of PostgreSQL"
            return _kinship(Relation.EMPTY, history, why)
        copying = await self._copying(source, told.major, account)
        control = await read_control_data(copying.program("pg_controldata"), data, account)
        if control.system_id != history.system_id:
            return _kinship(Relation.STRANGER, history, no_clone, control)
        own = await asyncio.to_thread(own_history, data, control)
        fork = fork_between(own, control.timeline, history)
        relation = await self._relation(copying.program("pg_waldump"), fork, control, account)
        return _kinship(
            relation,
            history,
            no_clone,
            control,
            fork=fork,
            why_no_rewind=_why_no_rewind(told, control, fork, data),
            own_slot=await setting_of(
                copying.program("postgres"), data, account, "primary_slot_name", self._host.configuration_options()
            ),
            leftovers=await asyncio.to_thread(find_leftovers, data),
            why_no_start=await self._why_no_start(copying.program("postgres"), account),
        )

    async def align(self, source: Access, following: Following, *, is_clone_wanted: bool = False) -> Aligned:
        """Nothing, pg_rewind or a copy; then the signal and whom to follow."""
        begun = time.monotonic()
        await self._host.see_place()
        await self._end_what_is_at_work()
        if self._work.phase is Phase.SWAPPING:
            await asyncio.to_thread(self._finish_copy)
            return Aligned(way=Way.CLONE, seconds=time.monotonic() - begun, detail="the copy was whole already")
        account, seen = self._account(), await self.look(source)
        way = seen.way(is_clone_wanted=is_clone_wanted)
        if way is Way.NOTHING:
            await asyncio.to_thread(remove_leftovers, self._work.data)
            await self._host.bar(following)
            return Aligned(way=way, seconds=time.monotonic() - begun)
        told = await self._told(source)
        if told.is_in_recovery or told.checkpoint_timeline != seen.upstream_timeline:
            raise NotAligned(
                f"{source.address} is no primary with a checkpoint on its timeline {seen.upstream_timeline}",
                hint="CHECKPOINT there, and run dbre ha rejoin again",
            )
        self._work.open(account)
        if self._work.phase is None:
            await asyncio.to_thread(self._work.clear)  # settings that were saved long ago may have been changed since
        copying = await self._copying(source, told.major, account)
        detail = _why(seen) if way is Way.CLONE and not is_clone_wanted else None
        if way is Way.REWIND:
            try:
                await self._rewind(source, following, copying, account, seen.upstream_timeline)
                return Aligned(way=way, seconds=time.monotonic() - begun)
            except DbreError as error:
                if self._work.phase is None:  # nothing was changed yet
                    raise
                detail = f"pg_rewind did not come to its end: {printable(error.message, limit=500)}"
        await self._clone(source, following, copying, account, seen, detail)
        return Aligned(way=Way.CLONE, seconds=time.monotonic() - begun, detail=detail)

    async def settle(self) -> None:
        """Remove the former data and the saved files."""
        if self._work.phase is not None:
            raise NotAligned(f"the files of {self._name} were not brought to their end", hint="run dbre ha rejoin again")
        await asyncio.to_thread(self._work.remove)

    async def _rewind(self, source: Access, following: Following, copying: Copying, account: Account, timeline: int) -> None:
        data = self._work.data
        await asyncio.to_thread(save, data, self._work.files, account)
        self._work.begin(Phase.REWINDING, account)
        options = self._host.configuration_options()
        control = await read_control_data(copying.program("pg_controldata"), data, account)
        await asyncio.to_thread(remove_leftovers, data)  # before anything is started here, which would obey them
        await asyncio.to_thread(self._sign, following, account)
        if not control.is_clean:
            await asyncio.to_thread(make_primary, data)  # a standby is not recovered by a single process
            await copying.recover(data, options)
            await asyncio.to_thread(self._sign, following, account)
        has_archive = bool(await setting_of(copying.program("postgres"), data, account, "restore_command", options))
        await copying.rewind(data, options, restores=has_archive)
        await self._require_source(source, timeline)
        await asyncio.to_thread(self._make_whole, data, following, account)
        self._work.end()

    async def _clone(
        self, source: Access, following: Following, copying: Copying, account: Account, seen: Kinship, detail: str | None
    ) -> None:
        if seen.why_no_clone is not None:
            because = f" ({detail})" if detail else ""
            raise NotAligned(
                f"{self._name} must be copied anew, which cannot be done: {seen.why_no_clone}{because}",
                hint="bring it back from a backup: dbre backup restore",
            )
        work = self._work
        if work.data.is_dir() and (work.data / "PG_VERSION").is_file():
            await asyncio.to_thread(save, work.data, work.files, account)
        work.begin(Phase.CLONING, account)
        await copying.copy(work.new, following.slot)
        await self._require_source(source, seen.upstream_timeline)
        await asyncio.to_thread(self._make_whole, work.new, following, account)
        work.begin(Phase.SWAPPING, account)
        await asyncio.to_thread(self._finish_copy)

    def _finish_copy(self) -> None:
        self._work.swap()
        self._work.end()

    def _make_whole(self, directory: Path, following: Following, account: Account) -> None:
        """What is the server's own comes back, and it is told whom to follow."""
        if self._work.files.is_dir():
            put_back(self._work.files, directory, account)
        remove_leftovers(directory)
        make_follower(directory, account, conninfo_for(following), following.slot)

    def _sign(self, following: Following, account: Account) -> None:
        make_follower(self._work.data, account, conninfo_for(following), following.slot)

    async def _require_source(self, source: Access, timeline: int) -> None:
        """A source that was demoted or replaced meanwhile has given us something of two histories. Raises: NotAligned."""
        told = await self._told(source)
        now = (await history_of(source)).timeline
        if told.is_in_recovery or now != timeline:
            raise NotAligned(
                f"{source.address} did not stay the primary on timeline {timeline} while the files of {self._name} were copied",
                hint="run dbre ha rejoin again when it is clear who is the primary",
            )

    async def _relation(self, waldump: Path, fork: Fork | None, control: ControlData, account: Account) -> Relation:
        if fork is None or fork.timeline != control.timeline:
            return Relation.DIVERGED
        if fork.position is not None and control.reached > fork.position:
            return Relation.DIVERGED
        is_beyond = await has_log_beyond(waldump, self._work.data, fork, account)
        return Relation.DIVERGED if is_beyond else Relation.SAME

    async def _why_no_start(self, program: Path, account: Account) -> str | None:
        """Where its settings are not where they usually are, and it does not run, nobody can tell where."""
        options = self._host.configuration_options()
        if not options and not (self._work.data / "postgresql.conf").is_file():
            return None
        found = await targets_of(program, self._work.data, account, options)
        where = options[-1].partition("=")[2] if options else "postgresql.conf"
        return f"{', '.join(found)} in {where}, or in what that includes, ends its recovery" if found else None

    async def _told(self, source: Access) -> Any:
        async with asking(source, what="rejoin") as questions:
            return await questions.row("rejoin_source")

    async def _copying(self, source: Access, major: int, account: Account) -> Copying:
        place = Place(account=account, cache=cache_directory(account, os.environ), bindir=self._host.control.bindir)
        client = await Toolbox(place).same_major_client(major)
        return Copying(source, client, place)

    async def _end_what_is_at_work(self) -> None:
        """Programs whose starter was killed go on; the server itself must have been stopped before. Raises: NotAligned."""
        if await self._host.is_answering():
            raise NotAligned(f"{self._name} runs: its files are not touched", hint="stop it first")
        for directory in (self._work.data, self._work.root):
            left = await asyncio.to_thread(
                kill_serving, directory, lambda _, name: name in _PROGRAMS, timeout_seconds=_END_SECONDS
            )
            if left:
                raise NotAligned(f"process {left[0].pid} is at work in {directory} and does not end")

    def _account(self) -> Account:
        return self._host.owner()


def _why(seen: Kinship) -> str:
    return {
        Relation.UNFINISHED: "an earlier attempt did not come to its end",
        Relation.EMPTY: "there was no data",
        Relation.STRANGER: "the data was of another database",
    }.get(seen.relation) or f"it cannot be rewound: {seen.why_no_rewind}"


def _why_no_rewind(told: Any, control: ControlData, fork: Fork | None, data: Path) -> str | None:
    if fork is None:
        return "the two have no common history"
    if not control.tells_changed_pages:
        return "it has neither data checksums nor wal_log_hints"
    if not told.has_full_pages:
        return "full_page_writes is off on the primary"
    if not told.may_read_files:
        return "the login of dbre may not read files on the primary (dbre engine sql postgresql --grants)"
    if told.has_sockets_in_data:
        return "the socket files of the primary are in its data directory"
    if (data / "PG_VERSION").read_text().strip() != str(told.major):
        return "the primary is of another major version"
    return None


def _why_no_clone(told: Any, work: Workplace) -> str | None:
    if told.tablespaces:
        return "the primary has tablespaces, whose directories cannot be kept beside their copies"
    if (work.data / "pg_wal").is_symlink():
        return "pg_wal is a link out of the data directory"
    if os.path.ismount(work.data):
        return f"{work.data} is a mount point: the copy cannot take its place"
    return None


def _kinship(
    relation: Relation,
    history: History,
    why_no_clone: str | None,
    control: ControlData | None = None,
    *,
    fork: Fork | None = None,
    why_no_rewind: str | None = None,
    own_slot: str = "",
    leftovers: tuple[str, ...] = (),
    why_no_start: str | None = None,
) -> Kinship:
    position = fork.position if fork is not None else None
    return Kinship(
        relation=relation,
        timeline=control.timeline if control is not None else None,
        upstream_timeline=history.timeline,
        fork=lsn(position) if position is not None else None,
        own_slot=printable(own_slot, limit=100) or None,
        why_no_rewind=why_no_rewind,
        why_no_clone=why_no_clone,
        leftovers=leftovers,
        why_no_start=why_no_start,
    )
