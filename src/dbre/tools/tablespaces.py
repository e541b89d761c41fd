"""Where tablespaces of a restored set go: beside its directory, never to where the source has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import Account, give

__all__ = ["room_for_tablespaces"]


@contextmanager
def room_for_tablespaces(directory: Path, account: Account) -> Iterator[Path]:
    """A new directory ``DIRECTORY.tablespaces`` that belongs to the account; gone at the end where nothing was put into it."""
    room = directory.with_name(directory.name + ".tablespaces")
    room.mkdir(mode=0o700)
    give(room, account)
    try:
        yield room
    finally:
        if not any(room.iterdir()):
            room.rmdir()
