"""Redis's own programs that backups need: where they are, and whether they can be used for a server."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import one_line
from dbre.ports.backup.model import Place, Tool

__all__ = ["CHECK_AOF", "CHECK_RDB", "CLIENT", "SERVER", "find_tool", "find_tools", "require_tool"]

SERVER, CLIENT, CHECK_AOF, CHECK_RDB = "redis-server", "redis-cli", "redis-check-aof", "redis-check-rdb"

_VERSION = re.compile(r"(?:v=| )(\d+)\.(\d+)\.(\d+)")
_SILENT = frozenset({CHECK_AOF, CHECK_RDB})  # they have no word for their version: they are the server under another name
_TRY_SECONDS = 60.0


async def find_tools(place: Place, *, version: str | None = None) -> Sequence[Tool]:
    """All four programs, each tried."""
    return [await find_tool(name, place, version=version) for name in (SERVER, CLIENT, CHECK_AOF, CHECK_RDB)]


async def find_tool(name: str, place: Place, *, version: str | None = None) -> Tool:
    """One program; Valkey's of the same purpose where Redis's is missing."""
    search = str(place.bindir) if place.bindir else os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    path = shutil.which(name, path=search) or shutil.which(name.replace("redis", "valkey"), path=search)
    if path is None:
        where = f"in {place.bindir}" if place.bindir else "on this machine"
        return Tool(name=name, version=None, path=None, problem=f"it is not installed {where}: apt install redis-server")
    if name in _SILENT:
        return Tool(name=name, version=None, path=path, problem=None)
    try:
        done = await run([path, "--version"], account=place.account, directory=Path("/"), timeout_seconds=_TRY_SECONDS)
    except ProgramFailed as error:
        return Tool(name=name, version=None, path=path, problem=f"it does not run: {one_line(error.message)}")
    found = _VERSION.search(done.stdout)
    if found is None:
        return Tool(name=name, version=None, path=path, problem="it does not say which version it is")
    problem = _mismatch(found, version) if name == SERVER else None
    return Tool(name=name, version=".".join(found.groups()), path=path, problem=problem)


async def require_tool(name: str, place: Place, *, version: str | None = None) -> str:
    """Its path. Raises: BinariesMissing saying why it cannot be used."""
    tool = await find_tool(name, place, version=version)
    if tool.path is None or tool.problem is not None:
        raise BinariesMissing(f"{name}: {tool.problem}", hint="install it: apt install redis-server", context={"program": name})
    return tool.path


def _mismatch(found: re.Match[str], version: str | None) -> str | None:
    """A server reads files of its own and of earlier versions."""
    wanted = re.match(r"(\d+)\.(\d+)", version or "")
    if wanted is None or (int(found[1]), int(found[2])) >= (int(wanted[1]), int(wanted[2])):
        return None
    return f"it is version {found[1]}.{found[2]}, and the source's {wanted[1]}.{wanted[2]} may have written what it cannot read"
