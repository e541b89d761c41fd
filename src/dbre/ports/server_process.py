"""The process of one server on its machine: started and stopped as the inventory says, and seen by its data directory.

What is the same for every engine of the second half of facet ``succession``; engines add what is their own.
"""

import asyncio
import os
import pwd
import re
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from dbre.core.control import Control, ControlKind
from dbre.core.errors import Denied, Unsupported
from dbre.core.fleet import Instance
from dbre.core.packets.own_addresses import is_of_this_machine
from dbre.core.programs.account import Account
from dbre.core.programs.processes import Process, kill_serving, send, serving
from dbre.core.programs.run import run
from dbre.core.units import format_duration
from dbre.ports.settings_file import SettingsFormat, read_settings, write_settings
from dbre.ports.succession import Following, HostState, NoControl, NotDone, StopMode
from dbre.ports.topology import LogPosition
from dbre.ports.versions import parse_version

__all__ = ["ServerProcess", "until"]

_POLL_SECONDS = 0.004
_VERSION_SECONDS = 30.0
_LOOK_SECONDS = 1.0  # a look through all processes takes time
_DEAD_SECONDS = 20.0  # who starts it may start it again
_VERSION = re.compile(r"\d+(?:\.\d+)+", re.ASCII)  # postgres (PostgreSQL) 15.18, Ver 10.11.14-MariaDB, v=7.0.15
_SYSTEMCTL = "systemctl"


class ServerProcess:
    """Implements ``ports.succession.HostPort`` for engines whose servers follow online.

    ``programs``: how the executables of such a server are called.
    """

    def __init__(
        self, instance: Instance, *, product: str, programs: Collection[str], settings_format: SettingsFormat | None = None
    ) -> None:
        if instance.control is None:
            raise NoControl(
                f"the inventory does not say how {instance.name} is started and stopped",
                hint=f"add control: to the instance {instance.name} in dbre.yaml: {{kind: systemd, unit: ...}}",
                context={"instance": instance.name},
            )
        self.instance = instance
        self.control: Control = instance.control
        self.product = product
        self._programs = frozenset(programs)
        self._settings_format = settings_format

    @property
    def where(self) -> str:
        """How messages call it."""
        return f"{self.product} {self.instance.name} at {self.instance.address}"

    def owner(self) -> Account:
        """Whose the data directory is: as whom programs of the server run. Raises: NoControl, Denied."""
        directory = self.data_directory()
        try:
            status = directory.stat()
        except PermissionError as error:
            raise Denied(f"{directory} of {self.instance.name} may not be entered by us", hint="run dbre as root") from error
        except OSError as error:
            raise NoControl(
                f"{directory} of {self.instance.name} is not on this machine: {error.strerror}",
                hint="correct control: data_directory, or run a worker on the server's machine",
            ) from error
        is_ours = status.st_uid == os.geteuid()
        if not is_ours and os.geteuid() != 0:
            raise Denied(
                f"{directory} of {self.instance.name} belongs to user {status.st_uid}", hint="run dbre as that user, or as root"
            )
        name = str(status.st_uid)
        with suppress(KeyError):
            name = pwd.getpwuid(status.st_uid).pw_name
        return Account(name=name, uid=status.st_uid, gid=status.st_gid, switch=not is_ours)

    def data_directory(self) -> Path:
        """Where its data is on this machine. Raises: NoControl."""
        if self.control.data_directory is None:
            raise NoControl(
                f"the inventory does not say where the data of {self.instance.name} is, so its processes cannot be seen",
                hint=f"add data_directory to control: of the instance {self.instance.name} in dbre.yaml",
            )
        return self.control.data_directory

    def processes(self) -> list[Process]:
        """Its processes, the main one first; none where the inventory names no data directory."""
        if self.control.data_directory is None:
            return []
        return serving(self.control.data_directory, lambda _, executable: executable in self._programs)

    async def see_place(self) -> None:
        """See that this machine is the server's: a standby's data may lie under the same path on each.

        Nothing where the inventory names no data directory: then its commands may reach another machine. Raises: NoControl.
        """
        if self.control.data_directory is None:
            return
        if await is_of_this_machine(self.instance.address):
            return
        near = [one.pid for one in (await asyncio.to_thread(self.processes))[:1]]  # a look through all processes takes time
        if not await is_of_this_machine(self.instance.address, near=near):
            raise NoControl(
                f"{self.instance.address} of {self.instance.name} is no address of this machine, so what lies here at "
                f"{self.control.data_directory} may be another server's",
                hint="run dbre, or a worker, on the machine of the server; or leave data_directory out of its control:",
                context={"instance": self.instance.name},
            )

    async def is_seen(self) -> bool:
        """Whether an empty list of processes proves that there are none: the place is right, and none is hidden from us."""
        try:
            await self.see_place()
            self.owner()  # who is neither the owner nor root does not see what runs there
        except (NoControl, Denied):
            return False
        return True

    async def state(self) -> HostState:
        """Which processes there are now."""
        is_seen = await self.is_seen()
        found = await asyncio.to_thread(self.processes)
        return HostState(
            is_seen=is_seen,
            processes=tuple(one.pid for one in found),
            is_answering=await self.is_answering(),
        )

    async def is_answering(self) -> bool:
        """Whether somebody takes connections at its address."""
        address = self.instance.address
        connecting = (
            asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.{address.port}")
            if address.host.startswith("/")
            else asyncio.open_connection(address.host, address.port)
        )
        try:
            async with asyncio.timeout(1.0):
                _, writer = await connecting
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def stop(self, mode: StopMode = StopMode.ORDERLY, *, limit_seconds: float) -> HostState:
        """As the inventory says; at once means SIGKILL where the engine has nothing gentler."""
        if mode is StopMode.AT_ONCE:
            return await self.kill(limit_seconds=limit_seconds)
        await self.see_place()
        if self.control.kind is ControlKind.SYSTEMD:  # also where it is gone: systemd may be about to start it again
            await self.systemctl("stop", limit_seconds=limit_seconds)
        elif not (await self.state()).is_gone:
            await self.command(self.control.stop, limit_seconds=limit_seconds)
        return await self.wait_gone(limit_seconds=limit_seconds)

    async def kill(self, *, limit_seconds: float) -> HostState:
        """SIGKILL until none is left; a unit is stopped, too, so that systemd does not start it again."""
        await self.see_place()
        self.owner()
        if self.control.kind is ControlKind.SYSTEMD:
            await self.systemctl("kill", "--signal=SIGKILL", limit_seconds=limit_seconds)
            await self.systemctl("stop", limit_seconds=limit_seconds)
        directory = self.data_directory()
        for one in await asyncio.to_thread(self.processes):
            send(one, signal.SIGKILL)
            break  # the main one first, so that it cannot replace its children
        await asyncio.to_thread(
            kill_serving, directory, lambda _, executable: executable in self._programs, timeout_seconds=limit_seconds
        )
        return await self.wait_gone(limit_seconds=limit_seconds)

    async def start(self, *, limit_seconds: float) -> None:
        """As the inventory says, and wait until it takes connections."""
        await self.see_place()
        if await self.is_answering() and not (await self.state()).is_gone:
            return
        if self.control.kind is ControlKind.SYSTEMD:
            await self.systemctl("start", limit_seconds=limit_seconds)
        else:
            await self.command(self.control.start, limit_seconds=limit_seconds)
        await self.wait_answering(limit_seconds=limit_seconds)

    async def bar(self, following: Following) -> None:
        """Nothing: only the server itself can keep from writing after its next start."""

    async def unbar(self) -> None:
        """Nothing was barred."""

    async def start_as_follower(self, following: Following, *, limit_seconds: float) -> None:  # noqa: ARG002 - the port's
        """Not possible: it would take writes between its start and its first word from us."""
        raise Unsupported(
            f"{self.where} follows online only: started first, it would take writes",
            hint="start it where no client reaches it, close it to writes, and let it follow",
        )

    async def last_position(self) -> LogPosition:
        """Not known without the server."""
        raise Unsupported(f"{self.where} tells where its log ends only while it runs")

    async def installed_version(self) -> tuple[int, ...] | None:
        """By the word of the program that the main process was started from, as it lies on the disk now."""
        found = await asyncio.to_thread(self.processes)
        if not found:
            return None
        try:
            program = os.readlink(f"/proc/{found[0].pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115 - no disk is asked
        except OSError:
            return None
        return await self.version_of(program)

    async def version_of(self, program: str | Path) -> tuple[int, ...] | None:
        """What a program of the server says of itself. Raises: ProgramFailed, NoControl, Denied."""
        account, data = self.owner(), self.data_directory()
        done = await run([program, "--version"], account=account, directory=data, timeout_seconds=_VERSION_SECONDS)
        match = _VERSION.search(done.stdout)
        return parse_version(match[0]) if match else None

    async def kept_settings(self) -> Mapping[str, str] | None:
        """What the file of settings of the inventory holds."""
        if self._settings_format is None or self.control.settings_file is None:
            return None
        await self.see_place()
        return await asyncio.to_thread(read_settings, self.control.settings_file, self._settings_format)

    async def keep_settings(self, stored: Mapping[str, str | None]) -> None:
        """Into the file of settings of the inventory; such a server stores none of its own."""
        path, form = self.control.settings_file, self._settings_format
        if path is not None and form is not None:
            await self.see_place()
            await asyncio.to_thread(write_settings, path, form, stored, self.owner())
            return
        raise Unsupported(
            f"{self.where} stores no settings that could be put back: {', '.join(stored)}",
            hint="correct its configuration file; or have dbre write one: settings_file in control: of the instance",
        )

    async def wait_gone(self, *, limit_seconds: float) -> HostState:
        """Until no process is left; where processes cannot be seen, until nobody answers. Raises: NotDone."""

        async def is_gone() -> bool:
            if self.control.data_directory is None:
                return not await self.is_answering()
            return not await asyncio.to_thread(self.processes)

        if not await until(is_gone, limit_seconds):
            left = ", ".join(str(one.pid) for one in self.processes()) or "it answers still"
            raise NotDone(
                f"{self.where} did not stop within {format_duration(limit_seconds)}: {left}",
                hint=f"see what it waits for: ps -o pid,stat,wchan:30,args -p {left.replace(' ', '')}",
                context={"processes": left},
            )
        return HostState(is_seen=await self.is_seen(), processes=(), is_answering=False)

    async def wait_answering(self, *, limit_seconds: float) -> None:
        """Until it takes connections, or nothing of it has run for some seconds. Raises: NotDone."""
        begun, last_seen = time.monotonic(), time.monotonic()
        is_seen = self.control.data_directory is not None and await self.is_seen()
        is_up = False

        async def is_settled() -> bool:
            nonlocal is_up, last_seen
            is_up = await self.is_answering()
            now = time.monotonic()
            if is_up or not is_seen or now - last_seen < _LOOK_SECONDS:
                return is_up
            if await asyncio.to_thread(self.processes):
                last_seen = time.monotonic()
            return now - last_seen > _DEAD_SECONDS

        await until(is_settled, limit_seconds)
        if not is_up:
            took = format_duration(round(time.monotonic() - begun, 1))
            raise NotDone(
                f"{self.where} was started, and takes no connections after {took}"
                + ("" if await asyncio.to_thread(self.processes) or not is_seen else ": no process of it runs"),
                hint="see its log",
            )

    async def systemctl(self, *words: str, limit_seconds: float) -> None:
        """One command of systemd about the unit. Raises: ProgramFailed."""
        await self.command((_SYSTEMCTL, *words, "--", str(self.control.unit)), limit_seconds=limit_seconds)

    async def command(self, words: tuple[str, ...], *, limit_seconds: float) -> None:
        """A program run as ourselves, in our home; what it puts into the background stays. Raises: ProgramFailed."""
        entry = pwd.getpwuid(os.geteuid())
        account = Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=False)
        await run(words, account=account, directory=Path(entry.pw_dir), timeout_seconds=limit_seconds, leaves_servers=True)


async def until(condition: Callable[[], Awaitable[bool]], limit_seconds: float) -> bool:
    """Whether it came true in time; it is asked once at least."""
    deadline = time.monotonic() + limit_seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
