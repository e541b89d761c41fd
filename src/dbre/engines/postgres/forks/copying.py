"""A copy of the data directory of a fenced server, which nothing else touches and which goes when it was read."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.errors import PrecheckFailed
from dbre.core.programs.account import Account, give
from dbre.core.programs.run import run
from dbre.core.programs.scratch import scratch_directory
from dbre.core.units import format_bytes
from dbre.engines.postgres.backup.restored_directory import is_alive

__all__ = ["copy_directory", "work_directory"]

_SECONDS = 86_400.0
_ROOM = 1.1  # of what is copied: recovery writes a little


@contextmanager
def work_directory(account: Account, work: Path | None) -> Iterator[Path]:
    """A directory for the copy that only the account and root may enter, gone afterwards. Raises: PrecheckFailed."""
    if work is None:
        with scratch_directory(account) as directory:
            yield directory
        return
    try:
        directory = Path(tempfile.mkdtemp(prefix="dbre-fork-", dir=work))
    except OSError as error:
        raise PrecheckFailed(
            f"no directory can be made in {work}: {error.strerror}", hint="name another with --work"
        ) from error
    try:
        give(directory, account)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def copy_directory(source: Path, target: Path, account: Account) -> None:
    """Copy all files, those behind links, too. Raises: PrecheckFailed where a server runs there or room is short."""
    pid = source / "postmaster.pid"
    if pid.exists() and is_alive(pid):
        raise PrecheckFailed(
            f"a server runs in {source}", hint="fence it first: what it goes on to write would be left out, and would be lost"
        )
    needed = round(await asyncio.to_thread(_size, source) * _ROOM)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise PrecheckFailed(
            f"a copy of {source} needs {format_bytes(needed)}, and {target.parent} has {format_bytes(free)}",
            hint="name a directory with more room: --work",
        )
    ourselves = Account(name="we", uid=os.geteuid(), gid=os.getegid(), switch=False)
    argv = ["cp", "-rL", "--reflink=auto", "--preserve=timestamps", "--", str(source), str(target)]
    await run(argv, account=ourselves, directory=target.parent, timeout_seconds=_SECONDS)
    if account.switch:
        await asyncio.to_thread(_give_all, target, account)


def _size(directory: Path) -> int:
    total = 0
    for root, _, names in os.walk(directory, followlinks=True):
        for name in names:
            try:
                total += Path(root, name).stat().st_size
            except FileNotFoundError:  # a socket file's lock, or a link to nothing
                continue
    return total


def _give_all(directory: Path, account: Account) -> None:
    for root, folders, names in os.walk(directory):
        for name in (*folders, *names):
            os.chown(Path(root, name), account.uid, account.gid, follow_symlinks=False)
    give(directory, account)
