"""Values in PostgreSQL's configuration files."""

import re

from dbre.core.errors import UsageError
from dbre.core.text import quoted

__all__ = ["setting_line"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?")


def setting_line(name: str, value: str) -> str:
    """One line of ``postgresql.conf``. Raises: UsageError for what no such file can hold."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{quoted(name, limit=100)} is no name of a setting")
    if any(character in value for character in "\n\r\0"):
        raise UsageError(f"the value of {name} holds a line break")
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{escaped}'\n"
