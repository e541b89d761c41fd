"""Where tablespaces of a restored set go: beside its directory, never to where the source has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import DirectoryUnusable

__all__ = ["room_for_tablespaces"]


@contextmanager
def room_for_tablespaces(directory: Path, account: Account) -> Iterator[Path]:
    """A new directory ``DIRECTORY.tablespaces`` that belongs to the account; gone at the end where nothing was put into it.

    Raises: DirectoryUnusable.
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
    finally:
        if not any(room.iterdir()):
            room.rmdir()
