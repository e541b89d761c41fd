"""What all throw-away servers have in common: start, stop, kill, freeze, thaw, and never another process touched."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.account import require_reachable
from dbre.core.secrets import Secret
from dbre.lab.destruction import destroy
from dbre.lab.errors import LabError, PortTaken, ServerFailed
from dbre.lab.processes import Process, find_processes, kill_processes, send
from dbre.lab.site import Site, log_tail
from dbre.ports.engine import Access
from dbre.ports.session import Role

__all__ = ["PREPARED", "LabServer", "Login"]

_POLL_SECONDS = 0.01
_STOP_SECONDS = 30.0
_ATTEMPTS = 5  # with a new port each
PREPARED = "prepared"
"""The note that data and accounts are complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user besides the superuser: the observer may do what dbre's engine asks for, an application owns its own data."""

    user: str
    password: Secret
    is_observer: bool


class LabServer(ABC):
    """One throw-away server at its site's place in the network, with data, log and password in a directory of its own."""

    engine: ClassVar[str]
    superuser: ClassVar[str]
    default_database: ClassVar[str | None]
    application_database: ClassVar[str | None]  # there once the server has logins
    observer_database: ClassVar[str | None]  # where the observer may log in to
    stop_signal: ClassVar[signal.Signals]
    start_seconds: ClassVar[float] = 60.0

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        version_text: str,
        port: int | None,
        replica_of: Self | None,
        settings: Mapping[str, str] | None,
    ) -> None:
        self.name = name
        self.site = site
        self.version_text = version_text  # of its program
        self.primary = replica_of  # as it was built; see role()
        self.settings = dict(settings or {})
        self.directory = site.directory / name
        self.data_directory = self.directory / "data"
        self.work_directory = self.data_directory  # where its processes run; may hold more than the data
        self.log_file = self.directory / "server.log"
        self.logins: tuple[Login, ...] = ()  # to be set before the first start; the same on a primary and its replicas
        self._wanted_port = port
        self._port: int | None = port
        self._child: subprocess.Popen[bytes] | None = None
        self._main: Process | None = None
        self._password: Secret | None = None
        self._recall()

    @property
    def address(self) -> Address:
        """Where clients reach it. Raises: LabError before the first start."""
        if self._port is None:
            raise LabError(f"{self.name} has no port yet: it was never started")
        return Address(self.site.host.address, self._port)

    @property
    def was_started(self) -> bool:
        """Whether it has a port, and so an address."""
        return self._port is not None

    @abstractmethod
    async def role(self) -> Role:
        """What it is now, asked without waiting for a frozen server."""

    @property
    def password(self) -> Secret:
        """The generated password of the superuser, kept in a file that only the runner can read."""
        if self._password is None:
            self._password = Secret((self.directory / "password").read_text().strip())
        return self._password

    def access(self, *, user: str | None = None, database: str | None = None, password: Secret | None = None) -> Access:
        """What an engine needs to log in; the superuser's by default. The lab's servers speak no TLS."""
        return Access(
            address=self.address,
            user=user or self.superuser,
            password=password or self.password,
            database=database or self.default_database,
            tls=TlsMode.DISABLE,
        )

    @property
    def pid(self) -> int | None:
        """The pid of its main process; None if it does not run."""
        main = self._living()
        return None if main is None else main.pid

    @property
    def is_running(self) -> bool:
        """Whether its main process exists; a frozen one does."""
        return self._living() is not None

    @property
    def is_frozen(self) -> bool:
        """Whether its main process is held by SIGSTOP."""
        main = self._living()
        return main is not None and main.is_stopped

    def processes(self) -> list[Process]:
        """All its processes."""
        return find_processes(self.work_directory)

    async def start(self) -> None:
        """Make its data if there is none, start it and wait until it answers; on the same port as before, if any.

        Raises: ServerFailed with the tail of the log, PortTaken if the port that was asked for is not free.
        """
        if self.is_running:
            return
        leftovers = await asyncio.to_thread(kill_processes, self.work_directory)  # children of a killed main process
        if leftovers:
            raise ServerFailed(f"{self.name}: processes {_pids(leftovers)} of its last run do not die")
        is_new = not (self.directory / PREPARED).exists()
        if is_new:
            await asyncio.to_thread(shutil.rmtree, self.work_directory, ignore_errors=True)  # of a start that failed
            await self._create()
        for attempt in range(_ATTEMPTS):
            if self._port is None or (attempt and self._wanted_port is None and is_new):
                self._port = self.site.host.choose_port()
            try:
                await self._start_on(self._port)
                break
            except PortTaken:
                if not is_new or self._wanted_port is not None or attempt == _ATTEMPTS - 1:
                    raise
        if is_new:
            await self._after_first_start()
            self._keep(PREPARED, "")

    async def stop(self) -> None:
        """Shut it down in order; kill it if it does not obey within 30 s. A frozen server is thawed first."""
        if not self.is_running:
            return
        await self.thaw()
        deadline = time.monotonic() + _STOP_SECONDS
        while (main := self._living()) is not None and time.monotonic() < deadline:
            send(main, self.stop_signal)  # again each second: Redis drops it while it rewrites its append-only file
            await _until(lambda: not self.is_running, 1.0)
        if not await _until(lambda: not self.processes(), 1.0):
            await self.kill()
        self._forget()

    async def kill(self) -> None:
        """SIGKILL to every process: a crash, from which ``start`` recovers."""
        main = self._living()
        if main is not None:
            send(main, signal.SIGKILL)  # first, so that it cannot replace its children
        survivors = await asyncio.to_thread(kill_processes, self.work_directory)
        await _until(lambda: not self.is_running, _STOP_SECONDS)
        if survivors:
            raise ServerFailed(f"{self.name}: processes {_pids(survivors)} survive SIGKILL, as if stuck in the kernel")
        self._forget()

    async def freeze(self) -> None:
        """SIGSTOP to every process: connections stay open and hang, new ones are accepted by the kernel and never answered."""
        await self._signal_until(signal.SIGSTOP, lambda process: process.is_stopped, "freeze")

    async def thaw(self) -> None:
        """SIGCONT to every process."""
        await self._signal_until(signal.SIGCONT, lambda process: not process.is_stopped, "thaw")

    async def destroy(self) -> None:
        """Kill it and remove its directory."""
        if not await asyncio.to_thread(destroy, self.directory):
            raise LabError(f"{self.directory} cannot be removed", hint=f"see what is left there: ls -la {self.directory}")
        if self.site.guardian is not None:
            self.site.guardian.release(self.directory)
        self.is_running  # noqa: B018 -- reaps the child
        self._port = self._wanted_port
        self._main = None

    @abstractmethod
    async def _build_data(self) -> None:
        """Fill ``data_directory``."""

    @abstractmethod
    def _command(self, port: int) -> list[str | Path]:
        """The program and its arguments."""

    @abstractmethod
    async def _is_ready(self) -> bool:
        """Whether it answers clients."""

    @abstractmethod
    def _says_port_taken(self, log: str) -> bool:
        """Whether this is how the program reports a port in use."""

    @abstractmethod
    async def _after_first_start(self) -> None:
        """What needs a running server: accounts."""

    def _make_directory(self) -> None:
        if self.site.guardian is not None:
            self.site.guardian.watch(self.directory)
        require_reachable(self.site.directory, self.site.account)
        if not self.directory.exists():
            self.site.make_directory(self.directory, mode=0o711)

    async def _create(self) -> None:
        self._make_directory()
        self._keep("password", self._initial_password().reveal())
        await self._build_data()

    def _initial_password(self) -> Secret:
        return Secret(secrets.token_urlsafe(18)) if self.primary is None else self.primary.password

    def _keep(self, name: str, text: str) -> None:
        """Write one of our own notes, readable by the runner only, whole or not at all."""
        temporary = self.directory / f".{name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(self.directory / name)

    async def _start_on(self, port: int) -> None:
        where = self.site.host.address
        if not self.site.host.is_free(port):
            raise PortTaken(f"{self.name}: port {port} on {where} is taken", hint=f"see by whom: ss -ltnp 'sport = :{port}'")
        log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        try:
            self._child = self.site.spawn(self._command(port), directory=self.work_directory, log=self.log_file)
        except OSError as error:
            raise ServerFailed(f"{self.name} cannot be started: {error.filename}: {error.strerror}") from error
        self._main = Process.read(self._child.pid)
        self._port = port
        if self._main is not None:
            self._keep("process.json", json.dumps({"pid": self._main.pid, "start_ticks": self._main.start_ticks, "port": port}))
        try:
            await self._wait_until_ready(port, log_start)
        except BaseException:
            await asyncio.to_thread(kill_processes, self.work_directory)
            raise

    async def _wait_until_ready(self, port: int, log_start: int) -> None:
        deadline = time.monotonic() + self.start_seconds
        while not await self._is_ready():
            if not self.is_running:
                self._raise_why_it_ended(port, log_start)
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} did not answer within {self.start_seconds:.0f} s\n{log_tail(self.log_file)}")
            await asyncio.sleep(_POLL_SECONDS)

    def _raise_why_it_ended(self, port: int, log_start: int) -> None:
        with self.log_file.open("rb") as file:
            file.seek(log_start)
            log = file.read().decode(errors="replace")
        if self._says_port_taken(log):
            where = self.site.host.address
            raise PortTaken(f"{self.name}: somebody took port {port} on {where} while the server was starting")
        status = self._child.returncode if self._child else None
        raise ServerFailed(
            f"{self.name} ended with status {status} while starting\n" + "\n".join(log.splitlines()[-12:]),
            hint=f"the whole log is {self.log_file}",
        )

    def _recall(self) -> None:
        """Pick up a server that an earlier process started in this directory."""
        try:
            note = json.loads((self.directory / "process.json").read_text())
            self._port = int(note["port"])
            pid, ticks = int(note["pid"]), int(note["start_ticks"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        main = Process.read(pid)
        if main is not None and main.start_ticks == ticks:
            self._main = main

    def _living(self) -> Process | None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if _still(self._main) is None:  # another process may have started it since, as a switchover does
            self._recall()
            if _still(self._main) is None:
                self._main = self._started_by_others()
        return _still(self._main)

    def _started_by_others(self) -> Process | None:
        """Its main process where it was not started by a lab, found by what the server itself has written."""
        return None

    def _forget(self) -> None:
        self._main = None
        self._child = None

    async def _signal_until(self, number: signal.Signals, done: Callable[[Process], bool], verb: str) -> None:
        if not self.is_running:
            raise LabError(f"{self.name} does not run: nothing to {verb}")

        def settled() -> bool:
            waiting = [process for process in self.processes() if not done(process)]
            for process in waiting:
                send(process, number)
            return not waiting

        if not await _until(settled, _STOP_SECONDS):
            raise ServerFailed(f"{self.name} did not {verb} within {_STOP_SECONDS:.0f} s")


def _still(process: Process | None) -> Process | None:
    """The same process as it is now; None if it has ended."""
    now = Process.read(process.pid) if process is not None else None
    if process is None or now is None or now.start_ticks != process.start_ticks or not now.is_alive:
        return None
    return now


async def _until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Whether ``condition`` came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _pids(processes: list[Process]) -> str:
    return ", ".join(str(process.pid) for process in processes)
