"""A mongod of our own that is filled from a dump: only on a socket, only while it is filled, in a new directory.

Source: MongoDB Manual, "mongod": ``--bind_ip`` takes the path of a socket; ``--unixSocketPrefix``, ``--filePermissions``;
SIGTERM ends it in good order. "mongorestore": ``--oplogReplay``, ``--oplogLimit``.
"""

import asyncio
import signal
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import one_line
from dbre.ports.backup.errors import RecoveryFailed
from dbre.tools.call import call, find_program
from dbre.tools.mongodb_backup.dump_directory import Dump
from dbre.tools.mongodb_backup.program import restore_argv

__all__ = ["restore_into", "server_argv"]

_PORT = 27017  # names the socket; nothing listens on it
_START_SECONDS = 120.0
_POLL_SECONDS = 0.2
_STOP_SECONDS = 600.0
_LONG_SECONDS = 7 * 86_400.0


def server_argv(program: Path, *, data: Path, run: Path) -> list[str | Path]:
    """A server that nothing but this account of this machine can reach."""
    socket = run / f"mongodb-{_PORT}.sock"
    return [
        program,
        "--dbpath",
        data,
        "--port",
        str(_PORT),
        "--bind_ip",
        str(socket),
        "--unixSocketPrefix",
        run,
        "--filePermissions",
        "0700",
    ]


async def restore_into(dump: Dump, directory: Path, *, limit: str, account: Account) -> None:
    """Fill the files of a new server in ``directory``. Raises: BinariesMissing, ProgramFailed, RecoveryFailed."""
    server = find_program("mongod", hint="the server of MongoDB, of the version of the dump")
    restorer = find_program("mongorestore", hint="mongodb-database-tools of MongoDB")
    if await asyncio.to_thread(lambda: any(directory.iterdir())):
        raise ProgramFailed(f"{directory} is not empty", hint="choose a new directory")
    with scratch_directory(account) as run:  # short: the path of a socket ends at 107 bytes
        socket = run / f"mongodb-{_PORT}.sock"
        async with spawn(
            server_argv(server, data=directory, run=run), account=account, directory=directory, on_line=lambda _: None
        ) as child:
            await _until_up(child, socket)
            argv = restore_argv(restorer, socket=socket, dump=dump.path, limit=limit, is_compressed=dump.is_compressed)
            ended = await call(argv, account=account, timeout_seconds=_LONG_SECONDS)
            if ended.status != 0:
                raise RecoveryFailed(
                    f"mongorestore of {one_line(dump.label, limit=60)} ended with {ended.status}: {ended.said}",
                    hint="is the server's version that of the dump, or the next one?",
                )
            child.signal(signal.SIGTERM)
            async with asyncio.timeout(_STOP_SECONDS):
                await child.require_success()


async def _until_up(child: Child, socket: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await asyncio.to_thread(socket.exists):
                if child.status is not None:
                    raise child.failure(child.status)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise RecoveryFailed(f"mongod did not open {socket} within {_START_SECONDS:.0f} s", hint="see its output") from error
