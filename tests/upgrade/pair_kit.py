"""Servers that follow online, started and stopped by an operator's own commands; and what they say of themselves."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from dbre.core.control import Control, ControlKind
from dbre.core.fleet import Fleet
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.ports.engine import Access
from dbre.ports.session import Role
from upgrade_kit import Engines

STOP = """
import os, pathlib, signal, time
while True:
    found = []
    for one in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(one / "cwd") == {directory!r}:
                found.append(int(one.name))
        except OSError:
            pass
    if not found:
        break
    for one in found:  # again and again: Redis drops it while it rewrites its append-only file
        try:
            os.kill(one, signal.SIGTERM)
        except ProcessLookupError:
            pass
    time.sleep(0.2)
"""


def commands(servers: Mapping[str, LabServer], *, has_files: bool = False) -> dict[str, Control]:
    """An operator's own commands: a script that stops whoever serves the data directory, and one that starts it.

    ``has_files``: each server reads a file of settings when it is started by them.
    """
    found = {}
    for name, one in servers.items():
        file = one.work_directory.parent / "dbre-settings.conf" if has_files else None
        words = shlex.join(_reading(file, [str(word) for word in one._command(one.address.port)]))
        whose = f"runuser -u {one.site.account.name} --" if one.site.account.switch else ""
        start = f"cd {one.work_directory} && setsid -f {whose} {words} </dev/null >>{one.log_file} 2>&1"
        stop = STOP.format(directory=str(one.work_directory))
        found[name] = Control(
            kind=ControlKind.COMMANDS,
            start=("/bin/sh", "-c", start),
            stop=(sys.executable, "-c", stop),
            data_directory=one.data_directory,
            settings_file=file,
        )
    return found


def _reading(file: Path | None, words: list[str]) -> list[str]:
    """The command line with which a server reads a file first: in place of no defaults, or after all others."""
    if file is None:
        return words
    if any(word.startswith("--defaults-file=") for word in words):
        return [f"--defaults-file={file}" if word.startswith("--defaults-file=") else word for word in words]
    return [*words, "--include", str(file)]


async def roles(fleet: Fleet) -> list[Role]:
    """By the servers' own word: the lab did not start them."""
    (cluster,), found = fleet.clusters, []
    for one in cluster.instances:
        server = Engines().get(cluster.engine).connect(Access.to(cluster, one.address))
        try:
            found.append((await server.topology.view()).role)
        finally:
            await server.aclose()
    return found


def next_version(server: RedisServer) -> tuple[bytes, str]:
    """The same program that calls itself the next minor version, of as many digits."""
    old = server.program.path.read_bytes()
    *series, last = server.program.version
    text = ".".join(map(str, (*series, last)))
    new = ".".join(map(str, (*series, last - 1 if str(last).endswith("9") else last + 1)))
    assert len(new) == len(text)
    return old.replace(text.encode(), new.encode()), new
