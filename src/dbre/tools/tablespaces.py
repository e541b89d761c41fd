"""Tablespaces of a set that a tool restores: never to where the source has them, and in the end inside the data directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import DirectoryUnusable
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["IN_PLACE", "tablespaces_at_home"]

IN_PLACE = ("allow_in_place_tablespaces", "on")
"""Without it recovery ends with "unexpected directory entry found in pg_tblspc/" where a tablespace is no link."""


@contextmanager
def tablespaces_at_home(directory: Path, account: Account) -> Iterator[Path]:
    """A place beside ``directory`` that tools can restore tablespaces to; at the end they lie in ``pg_tblspc``, without links.

    PostgreSQL recovers that under ``IN_PLACE``. Raises: DirectoryUnusable; CopyDamaged where a link leads elsewhere.
    """
    room = directory.with_name(directory.name + ".tablespaces")
    try:
        room.mkdir(mode=0o700)
    except OSError as error:
        raise DirectoryUnusable(
            f"{room} cannot be made for the tablespaces of the set: {error.strerror}", hint="restore into another directory"
        ) from error
    give(room, account)
    try:
        yield room
        _bring_home(directory, room)
    finally:
        if not any(room.iterdir()):
            room.rmdir()


def _bring_home(directory: Path, room: Path) -> None:
    links = directory / "pg_tblspc"
    for link in sorted(links.iterdir()) if links.is_dir() else []:
        if not link.is_symlink():
            continue
        place = link.readlink()
        if place.parent != room or place.is_symlink() or not place.is_dir():
            raise CopyDamaged(
                f"the tool restored a tablespace to {place}, not to {room}", hint="nothing was started; remove both directories"
            )
        link.unlink()
        place.rename(link)
