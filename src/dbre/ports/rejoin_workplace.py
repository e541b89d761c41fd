"""The directory beside a data directory that holds what must outlast a crash while the data is no database.

Whatever brings data to another history (``pg_rewind``, a copy that takes its place) takes away what lies in it, so the marker
cannot lie there.
"""

import json
import os
import shutil
from enum import StrEnum
from pathlib import Path

from dbre.core.errors import Denied
from dbre.core.programs.account import Account, give
from dbre.core.programs.syncing import sync_directory
from dbre.ports.rejoin import NotAligned

__all__ = ["Phase", "Workplace"]

_STATE = "state.json"


class Phase(StrEnum):
    """What was begun and has not come to its end."""

    REWINDING = "rewinding"  # the data directory is half of each
    CLONING = "cloning"  # the copy is not whole; what lies in the data directory is not to be trusted
    SWAPPING = "swapping"  # the copy is whole; it may not be in its place yet


class Workplace:
    """Of one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = Path(os.path.realpath(data))
        self.root = self.data.parent / f".{self.data.name}.dbre-rejoin"
        self.files, self.new, self.old = (self.root / name for name in ("files", "new", "old"))

    def open(self, account: Account) -> None:
        """Make it. Raises: Denied."""
        try:
            self.root.mkdir(mode=0o700, exist_ok=True)
            give(self.root, account)
        except OSError as error:
            raise Denied(
                f"{self.root} cannot be made: {error.strerror}", hint=f"let us write in {self.data.parent}, or run dbre as root"
            ) from error
        if self.root.is_symlink():
            raise Denied(f"{self.root} is a link", hint="remove it: somebody else made it")

    @property
    def phase(self) -> Phase | None:
        """What was begun; None where nothing was. Raises: NotAligned where nobody can tell."""
        try:
            return Phase(json.loads((self.root / _STATE).read_text())["phase"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotAligned(
                f"{self.root / _STATE} cannot be read: {error}",
                hint="an attempt to align the data was cut short: copy it anew by hand, and remove that directory",
            ) from error

    def begin(self, phase: Phase, account: Account) -> None:
        """Write it down, such that it lasts, before anything is done."""
        temporary = self.root / f"{_STATE}.new"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"phase": phase.value}, file)
            file.flush()
            os.fsync(descriptor)
        give(temporary, account)
        temporary.replace(self.root / _STATE)
        sync_directory(self.root)
        sync_directory(self.root.parent)

    def end(self) -> None:
        """The data directory is whole again: from here on it may be started."""
        (self.root / _STATE).unlink(missing_ok=True)
        sync_directory(self.root)

    def swap(self) -> None:
        """Put the whole copy into its place; done again after a crash, it goes on where it was."""
        if self.new.is_dir():
            if self.data.exists():
                shutil.rmtree(self.old, ignore_errors=True)
                self.data.rename(self.old)
                sync_directory(self.data.parent)
            self.new.rename(self.data)
        sync_directory(self.data.parent)

    def clear(self) -> None:
        """Take away what an attempt left that changed nothing yet."""
        for path in (self.files, self.new, self.old):
            shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """Take all of it away, the former data directory, too."""
        shutil.rmtree(self.root, ignore_errors=True)
