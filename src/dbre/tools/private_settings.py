"""Files with the settings of a tool's client, one ``NAME=VALUE`` a line: for what must never be in an argument list."""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from dbre.core.errors import Denied, UsageError
from dbre.core.text import closest, quoted

__all__ = ["read_private", "read_settings"]

_LONGEST = 2**16


def read_private(path: Path) -> str:
    """The text of a file that nobody but its owner may read. Raises: Denied, UsageError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="--config FILE; not a symbolic link") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no ordinary file", hint="--config FILE")
        if status.st_mode & 0o077:
            raise Denied(
                f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}); it may hold secrets",
                hint=f"chmod 0600 {path}",
            )
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise UsageError(f"{path} is longer than {_LONGEST} bytes: no file of settings", hint="--config FILE")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8", hint="--config FILE") from error


def read_settings(path: Path, *, allowed: Collection[str]) -> dict[str, str]:
    """Its settings. Values are taken as they are, without quotes and escapes; no value is ever in a message.

    Raises: Denied where others may read it, UsageError where a line is no setting.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(read_private(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, mark, value = line.partition("=")
        name = name.strip()
        if not mark or name not in allowed or "\0" in value:
            near = closest(name, sorted(allowed)) if mark else None
            shown = quoted(name, limit=60) if mark else "a line without ="
            raise UsageError(
                f"{path}, line {number}: {shown} is no setting of this tool",
                hint=f"did you mean {near}?" if near else f"NAME=VALUE with one of {', '.join(sorted(allowed))}",
            )
        found[name] = value.strip()
    return found
