"""Where the parts of a restore lie while it runs: made for the account of the engine's programs, and removed for good."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.core.programs.account import Account, give, require_reachable
from dbre.core.text import printable

__all__ = ["Staging", "give_tree", "remove_tree", "require_new", "staging_root"]

_PASSABLE, _PRIVATE = 0o711, 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """One directory with the parts of one restore."""

    root: Path
    account: Account

    @property
    def sets(self) -> Path:
        """Members, each in a directory of the name of its set."""
        return self.root / "sets"

    @property
    def log(self) -> Path:
        """Log files that the plan names."""
        return self.root / "log"

    @property
    def data(self) -> Path:
        """The data directory that is made of them."""
        return self.root / "data"

    async def prepare(self) -> None:
        """Make the directories; what is there already stays. Raises: DirectoryUnusable where the account cannot enter."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self.root.mkdir(mode=_PASSABLE, parents=True, exist_ok=True)
        for one in (self.sets, self.log):
            one.mkdir(mode=_PRIVATE, exist_ok=True)
            give(one, self.account)
        require_reachable(self.root, self.account)

    def note_path(self, name: str) -> Path:
        """Where ``write_note`` puts a note; it belongs to us, not to the account."""
        return self.root / f"{name}.json"

    async def write_note(self, name: str, value: Mapping[str, Any]) -> None:
        """Write down durably that something is complete, so that a killed restore goes on from there."""
        await asyncio.to_thread(_write_durably, self.note_path(name), json.dumps(dict(value)).encode())

    async def read_note(self, name: str) -> Mapping[str, Any] | None:
        """What was written down; None: it was not."""

        def read() -> Mapping[str, Any] | None:
            try:
                return dict(json.loads(self.note_path(name).read_bytes()))
            except (FileNotFoundError, ValueError):  # half written: the same as not written
                return None

        return await asyncio.to_thread(read)

    async def forget_note(self, name: str) -> None:
        """Take a note back."""
        await asyncio.to_thread(self.note_path(name).unlink, missing_ok=True)

    async def remove(self) -> None:
        """Remove everything: it is a copy of people's data."""
        await asyncio.to_thread(remove_tree, self.root)


def staging_root(directory: Path) -> Path:
    """Where restores lie below the directory of backups."""
    directory.mkdir(mode=_PASSABLE, parents=True, exist_ok=True)
    root = directory / "restoring"
    root.mkdir(mode=_PASSABLE, exist_ok=True)
    return root


def require_new(directory: Path) -> None:
    """Raises: PrecheckFailed unless a directory can be made there: nothing that exists is ever restored over."""
    shown = printable(str(directory), limit=300)
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise PrecheckFailed(
            f"{shown} exists and is not an empty directory: a restore never writes over anything",
            hint="name a directory that does not exist yet",
        )
    if not directory.parent.is_dir():
        raise PrecheckFailed(f"the parent directory of {shown} does not exist", hint=f"mkdir -p {shown} makes it, too")


def remove_tree(root: Path) -> None:
    """Remove a directory with all that is in it; nothing is followed out of it. Nothing there: nothing to do."""
    if root.is_symlink():
        root.unlink()
    elif root.exists():
        shutil.rmtree(root)


def give_tree(root: Path, account: Account) -> None:
    """Make the account the owner of a directory that we filled, links themselves and not what they point to."""
    if not account.switch:
        return
    give(root, account)
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            give(Path(parent) / name, account)


def _write_durably(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
