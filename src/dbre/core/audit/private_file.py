"""Files that are written whole or not at all, and that only their owner reads."""

import os
import secrets
import stat
from pathlib import Path

from dbre.core.audit.errors import SigningKeyInvalid
from dbre.core.text import printable

__all__ = ["create_private", "read_private", "replace_file"]


def create_private(path: Path, text: str) -> bool:
    """Make a file of mode 0600 with this text; False where there is one already, which stays as it is."""
    part = _written(path, text)
    try:
        os.link(part, path)  # unlike a rename, never replaces
    except FileExistsError:
        return False
    finally:
        part.unlink()
    _flush_directory(path.parent)
    return True


def replace_file(path: Path, text: str) -> None:
    """Put this text in place of the file; after a crash it is the old or the new one."""
    _written(path, text).replace(path)
    _flush_directory(path.parent)


def read_private(path: Path, *, what: str) -> str:
    """The text of a file that only its owner may read. Raises: FileNotFoundError; SigningKeyInvalid if others can read it."""
    shown = printable(str(path))
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise SigningKeyInvalid(f"{shown} is to hold {what} and is not a plain file", hint=f"move {shown} aside")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SigningKeyInvalid(f"{shown} holds {what} and others can read it", hint=f"chmod 600 {shown}")
    return path.read_text()


def _written(path: Path, text: str) -> Path:
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return part


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
