"""Patroni's own process beside a server: whoever stops the server and not it has stopped nothing for long.

Its word alone does not tell whether it lives. A Patroni whose PostgreSQL hangs answers nobody once as many requests wait for
that server as its API has threads. It is silent then, holds its lease, and starts PostgreSQL as the primary when it wakes.
"""

import asyncio
import os
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.core.programs.processes import Process, send
from dbre.ports.server_process import until

__all__ = ["PatroniAgent"]

_NAMES = ("patroni", "patroni.py")
_INTERPRETERS = ("python", "pypy")
_DATA_VARIABLE = "PATRONI_POSTGRESQL_DATA_DIR"
_WHOLE_VARIABLE = "PATRONI_CONFIGURATION"  # instead of a file
_SERVER = "postgres"
_CONFIGURATION_BYTES = 1 << 20
_ENDS_SECONDS = 10.0


class PatroniAgent:
    """The Patroni that manages one data directory of this machine (``fencing.rung.Agent``)."""

    def __init__(self, data_directory: Path, *, name: str) -> None:
        self._data = data_directory
        self._name = name

    async def end(self) -> str | None:
        """Kill one that is frozen, and see that it is gone. Raises: FenceFailed, before anything is done, where one runs."""
        found = await asyncio.to_thread(self._processes)
        awake = [one for one in found if not one.is_stopped]
        if awake:
            raise FenceFailed(
                f"Patroni of {self._name} runs as process {awake[0].pid}, and would start the server again",
                hint=f"wait until it acts, or stop it: kill {awake[0].pid}",
                context={"instance": self._name, "processes": [one.pid for one in awake]},
            )
        if not found:
            return None
        for one in await asyncio.to_thread(_with_helpers, found):
            send(one, signal.SIGKILL)

        async def is_gone() -> bool:
            return not await asyncio.to_thread(self._processes)

        if not await until(is_gone, _ENDS_SECONDS):
            raise FenceFailed(
                f"Patroni of {self._name} is there {_ENDS_SECONDS:g} s after it was killed",
                hint="see who starts it again, and have that wait: systemctl stop",
            )
        return f"frozen Patroni {found[0].pid} was killed: start it when it is to come back as a replica"

    async def awake(self) -> str | None:
        """The one that runs, as a message names it; None: there is none, or it is frozen, and a fence ends it."""
        found = await asyncio.to_thread(self._processes)
        return next((f"process {one.pid} of Patroni runs" for one in found if not one.is_stopped), None)

    async def left(self) -> str | None:
        """Any process of it, frozen or not; None: there is none, so nobody starts the server again."""
        found = await asyncio.to_thread(self._processes)
        return f"process {found[0].pid} of Patroni is left" if found else None

    def _processes(self) -> list[Process]:
        wanted = os.path.realpath(self._data)
        found = [one for one in _all() if wanted in _managed(one.pid)]
        return sorted(found, key=lambda one: (one.start_ticks, one.pid))


def _all() -> list[Process]:
    every = [Process.read(int(name)) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - thousands of entries
    return [one for one in every if one is not None and one.is_alive]


def _with_helpers(agents: Sequence[Process]) -> list[Process]:
    """With what descends from them: one may be about to start the server. The server itself is ended by whoever fences it."""
    every, found = _all(), {one.pid: one for one in agents}
    size = 0
    while size != len(found):
        size = len(found)
        found |= {one.pid: one for one in every if one.parent in found and one.name != _SERVER}
    return list(found.values())


def _managed(pid: int) -> Iterator[str]:
    """The data directories that a process manages as Patroni; none where it is another program."""
    place = Path("/proc") / str(pid)
    try:
        words = (place / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return  # it ended
    texts = [os.fsdecode(one) for one in words if one]
    at = _program_at(texts)
    if at is None:
        return
    variables: dict[str, str] = {}
    with suppress(OSError):
        pairs = (one.partition(b"=") for one in (place / "environ").read_bytes().split(b"\0"))
        variables = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    if data := variables.get(_DATA_VARIABLE):  # wins over the file, as Patroni itself has it
        yield os.path.realpath(data)
        return
    if whole := variables.get(_WHOLE_VARIABLE):
        yield from _named_in(whole)
        return
    for word in texts[at + 1 :]:
        yield from _configured(place, word)


def _program_at(words: Sequence[str]) -> int | None:
    """Where Patroni's name stands: as the program, as the script of an interpreter, or behind ``-m``."""
    for at, word in enumerate(words):
        if Path(word).name in _NAMES and (at == 0 or Path(words[0]).name.startswith(_INTERPRETERS)):
            return at
    return None


def _configured(place: Path, word: str) -> Iterator[str]:
    """The data directory that a file names, or the files of a directory, as the process itself would open them."""
    if word.startswith("-"):
        word = word.partition("=")[2]
    if not word:
        return
    path = place / "root" / word.lstrip("/") if word.startswith("/") else place / "cwd" / word
    with suppress(OSError, UnicodeDecodeError):
        files = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
        for one in files:
            if stat.S_ISREG(one.stat().st_mode):
                with one.open(encoding="utf-8") as opened:
                    yield from _named_in(opened.read(_CONFIGURATION_BYTES))


def _named_in(text: str) -> Iterator[str]:
    with suppress(yaml.YAMLError, RecursionError):
        found = yaml.safe_load(text)
        server = found.get("postgresql") if isinstance(found, Mapping) else None
        data = server.get("data_dir") if isinstance(server, Mapping) else None
        if isinstance(data, str):
            yield os.path.realpath(data)
