"""A configuration file of a server in which dbre keeps settings: its other lines are left as they are."""

import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import Denied, UsageError
from dbre.core.programs.account import Account
from dbre.core.text import printable

__all__ = ["SettingsFormat", "read_settings", "write_settings"]

_MOST_BYTES = 1 << 20
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFormat:
    """How such a file writes a setting; ``section``: the line below which it stands, where there are sections."""

    section: str | None
    between: str  # name and value
    dash: str  # what parts the words of a name here

    def line(self, name: str, value: str) -> str:
        """One setting. Raises: UsageError where a value cannot stand in such a file."""
        if not _PLAIN.fullmatch(value) or any(one in value for one in "#;'\"\\"):
            raise UsageError(f"{printable(value, limit=100)!r} cannot be written into a settings file")
        return f"{self.name(name)}{self.between}{value}"

    def name(self, name: str) -> str:
        """A name as it stands in the file."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{printable(name, limit=100)!r} is no name of a setting")
        return re.sub(r"[-_]", self.dash, name)

    def setting(self, line: str) -> tuple[str, str] | None:
        """Name and value of a line; None where it is another one."""
        text = line.strip()
        match = re.fullmatch(rf"({_NAME.pattern})\s*{re.escape(self.between.strip())}\s*(.*)", text)
        return (re.sub(r"[-_]", self.dash, match[1]).lower(), match[2].strip()) if match else None


def read_settings(path: Path, form: SettingsFormat) -> dict[str, str]:
    """Every setting of the file, the last line of a name counts; none without a file. Raises: UsageError, Denied."""
    return dict(found for line in _lines(path, form) if (found := form.setting(line)) is not None)


def write_settings(path: Path, form: SettingsFormat, stored: Mapping[str, str | None], owner: Account) -> None:
    """Have the file hold these, None: none of that name; it is replaced as a whole, or not at all.

    It keeps its mode, and becomes ``owner``'s, who has to read it; a new one is theirs alone.
    Raises: UsageError, Denied.
    """
    names = {form.name(name).lower() for name in stored}
    kept = [line for line in _lines(path, form) if (found := form.setting(line)) is None or found[0] not in names]
    if form.section is not None and form.section not in kept:
        kept.append(form.section)
    kept += [form.line(name, value) for name, value in stored.items() if value is not None]
    try:
        _replace(path, "".join(f"{line}\n" for line in kept), owner)
    except OSError as error:
        raise Denied(
            f"{path} cannot be written: {error.strerror}",
            hint="run dbre as who may write it, and see that its directory is there",
        ) from error


def _replace(path: Path, text: str, owner: Account) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode) & 0o777 if path.exists() else 0o600
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if owner.switch:
                os.fchown(file.fileno(), owner.uid, owner.gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """Never through a link, which the server's account could lead to a file that it may not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Denied(
            f"{path} cannot be read: {error.strerror}",
            hint="run dbre as who may read it; name the file itself, not a link to it",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{path} is no file", hint="name a file of settings")
        return file.read(_MOST_BYTES + 1)


def _lines(path: Path, form: SettingsFormat) -> list[str]:
    data = _read(path)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text", hint="name a file of settings") from error
    sections = {line.strip() for line in lines if line.strip().startswith("[")}
    if len(data) > _MOST_BYTES or sections - {form.section}:
        what = printable(", ".join(sorted(sections)), limit=200) or "it is large"
        raise UsageError(
            f"{path} holds more than settings of the server: {what}",
            hint="name a file of its own as settings_file, which the server's own file includes",
        )
    return [line.rstrip() for line in lines]
