"""What is done to the process of a PostgreSQL server on its machine: stopped, killed, started, started as a standby."""

import asyncio
import os
import re
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path

from dbre.core.control import ControlKind
from dbre.core.fleet import Instance
from dbre.core.programs.cache import cache_directory
from dbre.core.programs.processes import Process, send
from dbre.core.programs.run import run
from dbre.core.units import format_duration
from dbre.engines.postgres.binaries import find_postgres
from dbre.engines.postgres.conninfo import conninfo_for
from dbre.engines.postgres.standby_files import make_follower, make_primary, store_settings
from dbre.ports.server_process import ServerProcess, until
from dbre.ports.succession import Following, HostState, NotDone, StopMode
from dbre.ports.topology import LogPosition

__all__ = ["PostgresHost"]

_SIGNALS = {StopMode.ORDERLY: signal.SIGINT, StopMode.AT_ONCE: signal.SIGQUIT}
"""Source: PostgreSQL manual, 19.5 "Shutting Down the Server": fast, immediate."""

_STATUS_LINE = 7  # of postmaster.pid. Source: src/include/utils/pidfile.h
_CONTROL_SECONDS = 30.0
_GRACE_SECONDS = 5.0  # pg_ctl ends by its own timer first, and says why


class PostgresHost(ServerProcess):
    """Implements ``ports.succession.HostPort``."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, product="PostgreSQL", programs=("postgres",))

    async def is_answering(self) -> bool:
        """Whether it has written that it takes connections; read-only ones on a standby."""
        if self.control.data_directory is None:
            return await super().is_answering()
        lines = self._pid_file()
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready" and self._main() is not None

    async def stop(self, mode: StopMode = StopMode.ORDERLY, *, limit_seconds: float) -> HostState:
        """SIGINT or SIGQUIT to the main process; another program is asked only where the inventory says so."""
        if mode is StopMode.ORDERLY and self.control.kind is not ControlKind.PG_CTL:
            return await super().stop(mode, limit_seconds=limit_seconds)
        await self.see_place()
        self.owner()
        main = await asyncio.to_thread(self._main)
        if main is not None:
            send(main, _SIGNALS[mode])

            async def has_ended() -> bool:
                now = Process.read(main.pid)
                return now is None or now.start_ticks != main.start_ticks or not now.is_alive

            await until(has_ended, limit_seconds)  # cheaper than to look through all processes
        return await self.wait_gone(limit_seconds=limit_seconds)

    async def start(self, *, limit_seconds: float) -> None:
        """With pg_ctl and the options of its last start, as the owner of its data."""
        await self.see_place()
        if await self.is_answering():
            return
        if self.control.kind is not ControlKind.PG_CTL:
            await super().start(limit_seconds=limit_seconds)
            return
        account, data = self.owner(), self.data_directory()
        await asyncio.to_thread(self._forget_the_dead)
        log = self.control.log_file or data / "startup.log"
        words: list[str | Path] = [await self._program("pg_ctl"), "start", "-D", data, "-l", log, "-w"]
        words += ["-t", str(max(1, round(limit_seconds)))]
        if options := self._last_options():
            words += ["-o", options]
        await run(words, account=account, directory=data, timeout_seconds=limit_seconds + _GRACE_SECONDS)
        await self.wait_answering(limit_seconds=limit_seconds)

    async def wait_answering(self, *, limit_seconds: float) -> None:
        """Until it has written that it takes connections, or has ended. Raises: NotDone."""
        is_up = False

        async def is_settled() -> bool:
            nonlocal is_up
            is_up = await self.is_answering()
            return is_up or (self._pid_file() == [] and not await asyncio.to_thread(self.processes))

        await until(is_settled, limit_seconds)
        if not is_up:
            where = self.control.log_file or "its log, or startup.log in its data directory"
            raise NotDone(
                f"{self.where} takes no connections {format_duration(limit_seconds)} after its start at most",
                hint=f"see {where}",
            )

    async def bar(self, following: Following) -> None:
        """A ``standby.signal`` and whom to follow: also a start by somebody else, at boot, makes a standby of it."""
        await self.see_place()
        await asyncio.to_thread(make_follower, self.data_directory(), self.owner(), conninfo_for(following), following.slot)

    async def unbar(self) -> None:
        """Take the ``standby.signal`` away."""
        await self.see_place()
        self.owner()
        await asyncio.to_thread(make_primary, self.data_directory())

    async def start_as_follower(self, following: Following, *, limit_seconds: float) -> None:
        """``bar``, then ``start``."""
        if not await asyncio.to_thread(self.processes):
            await self.bar(following)
        await self.start(limit_seconds=limit_seconds)

    async def last_position(self) -> LogPosition:
        """Just behind the begin of the checkpoint that an orderly shutdown writes as its last record."""
        data, account = self.data_directory(), self.owner()
        done = await run(
            [await self._program("pg_controldata"), "-D", data],
            account=account,
            directory=data,
            timeout_seconds=_CONTROL_SECONDS,
        )
        fields = dict(line.partition(":")[::2] for line in done.stdout.splitlines())
        state = fields.get("Database cluster state", "").strip()
        where = re.fullmatch(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})", fields.get("Latest checkpoint location", "").strip())
        if state not in ("shut down", "shut down in recovery") or where is None:
            raise NotDone(
                f"{self.where} was not stopped in order: pg_controldata says {state or 'nothing'}",
                hint="start it again, so that it recovers",
            )
        offset = (int(where[1], 16) << 32) + int(where[2], 16)
        return LogPosition(text=where[0], offset=offset + 1)  # reached by whoever has replayed that record

    async def installed_version(self) -> tuple[int, ...] | None:
        """Of the program that ``start`` runs."""
        return await self.version_of(await self._program("postgres"))

    async def keep_settings(self, stored: Mapping[str, str | None]) -> None:
        """In ``postgresql.auto.conf``, as ALTER SYSTEM would."""
        if left := await asyncio.to_thread(self.processes):
            raise NotDone(f"{self.where} runs still as {left[0].pid}: its own settings are changed by ALTER SYSTEM")
        await asyncio.to_thread(store_settings, self.data_directory(), self.owner(), stored)

    def configuration_options(self) -> list[str]:
        """Where its settings are, where they are not in its data directory: as words of a command line."""
        words = self._last_command()[1:]
        found = [one.removeprefix("--") for one in words if one.removeprefix("--").replace("-", "_").startswith("config_file=")]
        return ["-c", found[-1].replace("config-file=", "config_file=")] if found else []

    async def _program(self, name: str) -> Path:
        """Beside the program that ran last, or of the data directory's version."""
        if self.control.bindir is not None:
            return self.control.bindir / name
        last = self._last_command()
        if last and (Path(last[0]).parent / name).is_file():
            return Path(last[0]).parent / name
        account = self.owner()
        version = int((self.data_directory() / "PG_VERSION").read_text().strip())
        found = await find_postgres(account=account, cache=cache_directory(account, os.environ), version=version)
        return found.program(name)

    def _last_command(self) -> list[str]:
        """What the server wrote of its last start: ``/bin/postgres "-D" "/data" "-p" "5433"``."""
        try:
            return shlex.split((self.data_directory() / "postmaster.opts").read_text())
        except (OSError, ValueError):
            return []

    def _last_options(self) -> str:
        """The options of the last start, quoted for the shell that pg_ctl uses; pg_ctl itself names the data directory."""
        words = self._last_command()[1:]
        while "-D" in words:
            at = words.index("-D")
            del words[at : at + 2]
        return shlex.join(words)

    def _forget_the_dead(self) -> None:
        """Remove the pid file of a main process that has ended and was not waited for: PostgreSQL takes it for alive."""
        lines = self._pid_file()
        process = Process.read(int(lines[0])) if lines and lines[0].strip().isdigit() else None
        if process is not None and not process.is_alive and not self.processes():
            (self.data_directory() / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data_directory() / "postmaster.pid").read_text(errors="replace").splitlines()
        except OSError:
            return []

    def _main(self) -> Process | None:
        """The process that its pid file names, where it is what it claims to be."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        process = Process.read(int(lines[0]))
        if process is None or not process.is_alive:
            return None
        try:
            is_there = Path(f"/proc/{process.pid}/cwd").samefile(self.data_directory())
            program = Path(f"/proc/{process.pid}/exe").readlink().name
        except OSError:
            return None
        return process if is_there and program.removesuffix(" (deleted)") == "postgres" else None
