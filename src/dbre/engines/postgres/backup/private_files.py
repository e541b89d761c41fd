"""Files that only the account of the database programs (and root) can read."""

import os
from pathlib import Path

from dbre.core.programs.account import Account, give

__all__ = ["write_private"]


def write_private(path: Path, data: str | bytes, account: Account) -> Path:
    """Write a new file with mode 0600; one that is there, link or not, is an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    give(path, account)
    return path
