"""MariaDB's own programs that backups need: where they are, and whether they can be used for a server."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.programs.run import clean_environment, run
from dbre.core.text import one_line
from dbre.ports.backup.model import Place, Tool

__all__ = ["BACKUP", "BINLOG", "CLIENT", "DUMP", "SERVER", "find_tool", "find_tools", "require_tool"]

BACKUP, SERVER, BINLOG, CLIENT = "mariadb-backup", "mariadbd", "mariadb-binlog", "mariadb"
DUMP = "mariadb-dump"

_PACKAGES = {BACKUP: "mariadb-backup", SERVER: "mariadb-server", BINLOG: "mariadb-client", CLIENT: "mariadb-client"}
_PACKAGES[DUMP] = "mariadb-client"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)-MariaDB")
_OWN_VERSION = re.compile(r"mariadb-binlog\s+Ver (\d+)\.(\d+)")  # it has a number of its own, and names no server's
_FOR_ONE_SERIES = frozenset({BACKUP, SERVER})  # they read files, whose format is that of a series
_TRY_SECONDS = 60.0


async def find_tools(place: Place, *, version: str | None = None) -> Sequence[Tool]:
    """All four programs, each tried."""
    return [await find_tool(name, place, version=version) for name in (BACKUP, SERVER, BINLOG, CLIENT)]


async def find_tool(name: str, place: Place, *, version: str | None = None) -> Tool:
    """One program, tried by asking for its version; ``version`` is that of the server, as it writes it."""
    search = str(place.bindir) if place.bindir else os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    path = shutil.which(name, path=search)
    if path is None:
        where = f"in {place.bindir}" if place.bindir else "on this machine"
        return Tool(name=name, version=None, path=None, problem=f"it is not installed {where}: apt install {_PACKAGES[name]}")
    home = Path("/")
    try:
        done = await run(
            [path, "--version"],
            account=place.account,
            directory=home,
            timeout_seconds=_TRY_SECONDS,
            environment=clean_environment(home),
        )
    except ProgramFailed as error:
        return Tool(name=name, version=None, path=path, problem=f"it does not run: {one_line(error.message)}")
    said = f"{done.stdout}\n{done.stderr}"
    own = _OWN_VERSION.search(said) if name == BINLOG else None
    if own is not None:
        return Tool(name=name, version=f"{own[1]}.{own[2]}", path=path, problem=None)
    found = _VERSION.search(said)
    if found is None:
        return Tool(name=name, version=None, path=path, problem="it is not MariaDB's")
    return Tool(name=name, version=".".join(found.groups()), path=path, problem=_mismatch(name, found, version))


async def require_tool(name: str, place: Place, *, version: str | None = None) -> str:
    """Its path. Raises: BinariesMissing saying why it cannot be used."""
    tool = await find_tool(name, place, version=version)
    if tool.path is None or tool.problem is not None:
        raise BinariesMissing(
            f"{name}: {tool.problem}", hint=f"install it: apt install {_PACKAGES[name]}", context={"program": name}
        )
    return tool.path


def _mismatch(name: str, found: re.Match[str], version: str | None) -> str | None:
    wanted = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", version or "")
    if wanted is None:
        return None
    own, server = (int(found[1]), int(found[2])), (int(wanted[1]), int(wanted[2]))
    if name in _FOR_ONE_SERIES and own != server:
        return f"it is of series {found[1]}.{found[2]}, and the server of {wanted[1]}.{wanted[2]}: their files differ"
    if own < server:
        return f"it is of series {found[1]}.{found[2]}, older than the server's {wanted[1]}.{wanted[2]}"
    return None
