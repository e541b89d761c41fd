"""Files of a stopped PostgreSQL server: what makes it a standby, and its stored settings; written whole or not at all."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dbre.core.programs.account import Account, give
from dbre.core.programs.syncing import sync_directory
from dbre.core.secrets import Secret
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.ports.succession import NotDone

__all__ = ["make_follower", "make_primary", "store_settings"]

_SIGNAL = "standby.signal"
_AUTO = "postgresql.auto.conf"
_OURS = re.compile(r"\s*(primary_conninfo|primary_slot_name|recovery_target(_\w+)?)\s*[=\s]", re.IGNORECASE)
"""What a standby is told, and what an earlier recovery to a target left: with that it would stop on its way."""

_LARGEST_BYTES = 1 << 20
_AS_IT_IS = "surrogateescape"  # a value may be in any encoding

_NAME = re.compile(r"\s*([A-Za-z_][\w.$]*)\s*[=\s]")


def make_follower(data: Path, account: Account, conninfo: Secret, slot: str | None) -> None:
    """Write whom to follow, then the signal: a start in between finds a primary still."""
    auto = data / _AUTO
    kept = [line for line in _lines(auto) if not _OURS.match(line)]
    settings = {"primary_conninfo": conninfo.reveal(), "primary_slot_name": slot or ""}
    lines = [*kept, *(f"{name} = {_quoted(value)}" for name, value in settings.items())]
    _write(auto, "\n".join(lines) + "\n", account)
    _write(data / _SIGNAL, "", account)
    sync_directory(data)


def make_primary(data: Path) -> None:
    """Take the signal away."""
    (data / _SIGNAL).unlink(missing_ok=True)
    sync_directory(data)


def store_settings(data: Path, account: Account, stored: Mapping[str, str | None]) -> None:
    """Store values in a stopped server's file of ALTER SYSTEM, or take them away; the rest stays as it is."""
    auto = data / _AUTO
    kept = [line for line in _lines(auto) if _name_in(line) not in {name.lower() for name in stored}]
    lines = [*kept, *(f"{name} = {_quoted(value)}" for name, value in stored.items() if value is not None)]
    _write(auto, "\n".join(lines) + "\n", account)
    sync_directory(data)


def _name_in(line: str) -> str:
    match = _NAME.match(line)
    return match[1].lower() if match else ""


def _lines(path: Path) -> list[str]:
    """Never through a link, which the server's account could lead to what only we may read. Raises: NotDone."""
    try:
        text = read_plain(path, limit=_LARGEST_BYTES).decode(errors=_AS_IT_IS)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotDone(
            f"{path} cannot be read: {error.strerror or error}",
            hint="let it be a plain file, as ALTER SYSTEM writes it, and no link",
        ) from error
    return text.removesuffix("\n").split("\n") if text else []


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _write(path: Path, text: str, account: Account) -> None:
    temporary = path.with_name(f"{path.name}.dbre")
    temporary.unlink(missing_ok=True)  # of a process that was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors=_AS_IT_IS, newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    give(temporary, account)
    temporary.replace(path)
