"""The file with the databases of a PgBouncer, which ``pgbouncer.ini`` includes: read, changed in place, written whole.

dbre changes ``host`` and ``port`` of the entries it was told of and leaves every other character as it is.
"""

import os
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from dbre.core.errors import Denied, UsageError
from dbre.core.fleet import Address
from dbre.core.text import printable, quoted

__all__ = ["is_replaceable", "pointed", "read", "targets", "write"]

_ENTRY = re.compile(r'^[ \t]*(?P<name>"(?:[^"]|"")*"|[^\s=;#\[%"]+)[ \t]*=[ \t]*(?P<rest>[^\r\n]*)', re.MULTILINE)
_PAIR = re.compile(r"(?P<key>[A-Za-z_]+)[ \t]*=[ \t]*(?P<value>'(?:[^']|'')*'|[^\s']*)")
_SECTION = re.compile(r"^[ \t]*\[(?P<section>[^\]\r\n]*)\]", re.MULTILINE)
_LARGEST = 1 << 20


def read(path: Path) -> str:
    """The text of the file. Raises: UsageError where it is none, Denied where it may not be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise UsageError(f"{path} is larger than {_LARGEST} bytes", hint="it should hold databases alone")
        return raw.decode()
    except PermissionError as error:
        raise Denied(f"{path} may not be read by us", hint=f"let the user who runs dbre read it: ls -l {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"{path} cannot be read: {why}",
            hint="name the file with databases of PgBouncer on this machine, which pgbouncer.ini includes: %include FILE",
        ) from error


def targets(text: str) -> Mapping[str, Address | None]:
    """Where each database leads; None for one without a host, which is reached by a local socket."""
    found: dict[str, Address | None] = {}
    for entry in _entries(text):
        pairs = {one["key"]: _plain(one["value"]) for one in _PAIR.finditer(entry["rest"])}
        host, port = pairs.get("host"), pairs.get("port", "5432")
        found[_name(entry["name"])] = Address(host, int(port)) if host and port.isascii() and port.isdigit() else None
    return found


def pointed(text: str, databases: Collection[str], address: Address) -> str:
    """The text with these databases led to ``address``.

    >>> pointed("shop = host=pg1 port=5432 dbname=shop\\n", ["shop"], Address("pg2", 5433))
    'shop = host=pg2 port=5433 dbname=shop\\n'

    Raises: UsageError for a database that is not in the text, and for a host that cannot stand in it.
    """
    if re.search(r"[\s'\"\\;]", address.host):
        raise UsageError(f"the host {quoted(address.host)} cannot stand in a file of PgBouncer")
    missing = sorted(set(databases) - set(targets(text)))
    if missing:
        raise UsageError(
            f"the file has no database {printable(', '.join(missing))}",
            hint="it has " + (printable(", ".join(targets(text)), limit=300) or "none"),
        )
    parts, end = [], 0
    for entry in _entries(text):
        if _name(entry["name"]) in databases:
            parts += [text[end : entry.start("rest")], _with(entry["rest"], address)]
            end = entry.end("rest")
    return "".join([*parts, text[end:]])


def is_replaceable(path: Path) -> bool:
    """Whether ``write`` may put a file in its place and give it its owner."""
    status = path.stat()
    is_own = os.geteuid() in (0, status.st_uid)
    return is_own and os.access(path.parent, os.W_OK | os.X_OK)


def write(path: Path, text: str) -> None:
    """Put the text in place of the file: whole or not at all, with the owner and mode that it had. Raises: Denied."""
    temporary: Path | None = None
    try:
        before = path.stat()
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, before.st_mode & 0o7777)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise Denied(
            f"{path} cannot be replaced: {error.strerror}",
            hint=f"let the user who runs dbre write in {path.parent}, and own the file",
        ) from error


def _entries(text: str) -> list[re.Match[str]]:
    """Entries of databases: those before any section and those of ``[databases]``."""
    sections = [(one.start(), one["section"].strip().lower()) for one in _SECTION.finditer(text)]

    def section_at(position: int) -> str:
        return next((name for start, name in reversed(sections) if start <= position), "databases")

    return [one for one in _ENTRY.finditer(text) if section_at(one.start()) == "databases"]


def _with(rest: str, address: Address) -> str:
    wanted = {"host": address.host, "port": str(address.port)}
    for key, value in wanted.items():
        pair = next((one for one in _PAIR.finditer(rest) if one["key"].lower() == key), None)
        if pair is None:
            rest = f"{key}={value} {rest}".rstrip()
        else:
            rest = rest[: pair.start("value")] + value + rest[pair.end("value") :]
    return rest


def _plain(value: str) -> str:
    return value[1:-1].replace("''", "'") if value.startswith("'") else value


def _name(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
