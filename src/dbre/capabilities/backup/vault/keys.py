"""How objects in a vault are called. No key is ever used twice: each ends with a part of the SHA-256 of what lies there."""

from urllib.parse import quote, unquote

__all__ = [
    "INDEX",
    "README",
    "ROOT",
    "VAULT",
    "entry_key",
    "entry_number",
    "log_key",
    "manifest_key",
    "part_key",
    "snapshot_key",
    "snapshot_number",
    "system_folder",
    "system_of",
]

ROOT = "v1/"
README = "README.txt"
VAULT = "v1/vault.json"
INDEX = "index/"

_DIGITS = 16


def _component(text: str) -> str:
    """One part of a path, whatever the text holds: separators, dots and control characters are written as %XX."""
    safe = quote(text, safe="", errors="surrogateescape")
    return "%2E" + safe[1:] if safe.startswith(".") else safe


def system_folder(system_id: str) -> str:
    """Where all of one server's life lies."""
    return f"{ROOT}{_component(system_id)}/"


def system_of(folder: str) -> str:
    """The system identifier that a folder is named for."""
    return unquote(folder.removeprefix(ROOT).strip("/"), errors="surrogateescape")


def part_key(system_id: str, set_id: str, number: int, sha256: str) -> str:
    """A part of a set."""
    return f"{system_folder(system_id)}sets/{_component(set_id)}/data-{number:05}-{sha256[:_DIGITS]}.tar.zst.age"


def manifest_key(system_id: str, set_id: str, sha256: str) -> str:
    """The manifest of a set, apart from its files: the next incremental needs nothing else."""
    return f"{system_folder(system_id)}sets/{_component(set_id)}/manifest-{sha256[:_DIGITS]}.zst.age"


def log_key(system_id: str, timeline: int, name: str, sha256: str) -> str:
    """A log file."""
    return f"{system_folder(system_id)}log/{timeline:08X}/{_component(name)}-{sha256[:_DIGITS]}.zst.age"


def entry_key(system_id: str, number: int) -> str:
    """An entry of the index."""
    return f"{system_folder(system_id)}{INDEX}{number:010}.note"


def entry_number(key: str) -> int | None:
    """The number of an entry; None for anything else."""
    name = key.rpartition("/")[2]
    digits = name.removesuffix(".note")
    return int(digits) if name.endswith(".note") and digits.isascii() and digits.isdigit() and len(digits) == 10 else None


def snapshot_key(system_id: str, number: int, sha256: str) -> str:
    """What the index came to up to and without the entry of that number."""
    return f"{system_folder(system_id)}snapshots/{number:010}-{sha256[:_DIGITS]}.json.zst"


def snapshot_number(key: str) -> int | None:
    """The number of the entry that names a snapshot; None for anything else."""
    digits = key.rpartition("/")[2].partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) == 10 else None
