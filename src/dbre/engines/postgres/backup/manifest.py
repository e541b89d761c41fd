"""The manifest that ``pg_basebackup`` leaves: read as strictly as PostgreSQL reads it.

Source: PostgreSQL manual, 75 "Backup Manifest Format"; ``src/common/parse_manifest.c``.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.text import quoted
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import LogPosition

__all__ = ["MANIFEST", "Manifest", "ManifestFile", "WalRange", "parse_manifest", "read_manifest"]

MANIFEST = "backup_manifest"
_LIMIT_BYTES = 1 << 30  # five million files
_LIMIT_DIGITS = 20
_VERSION, _SYSTEM, _FILES = "PostgreSQL-Backup-Manifest-Version", "System-Identifier", "Files"
_WAL, _CHECKSUM = "WAL-Ranges", "Manifest-Checksum"
_DIGEST_BYTES = {"NONE": 0, "CRC32C": 4, "SHA224": 28, "SHA256": 32, "SHA384": 48, "SHA512": 64}
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file as it was sent; ``path`` in bytes, because names need not be text."""

    path: bytes
    size: int
    algorithm: str | None  # None: it has no checksum
    digest: bytes


@dataclass(frozen=True, slots=True)
class WalRange:
    """WAL of one timeline that the copy needs to become consistent."""

    start: LogPosition
    end: LogPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was copied."""

    version: int
    system_id: str | None  # only in version 2, PostgreSQL 17 and later
    files: Mapping[bytes, ManifestFile]
    wal: tuple[WalRange, ...]  # oldest timeline first
    sha256: str  # of the whole file


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; symlinks are not followed. Raises: CopyDamaged saying what is wrong with it."""
    try:
        data = read_plain(path, limit=_LIMIT_BYTES)
    except OSError as error:
        raise CopyDamaged(f"{path}: the manifest cannot be read: {error.strerror or error}") from error
    return parse_manifest(data, where=str(path))


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Understand a manifest. Raises: CopyDamaged."""
    try:
        _check_own_digest(data)
        document = json.loads(data, object_pairs_hook=_unique, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
        return _manifest(document, data)
    except (_Wrong, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        hint = "fetch the set again from another vault, or take a new backup"
        raise CopyDamaged(f"{where}: not a manifest of PostgreSQL: {_reason(error)}", hint=hint) from error


class _Wrong(ValueError):
    """What is wrong."""


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error) if isinstance(error, _Wrong) else f"it is no JSON: {quoted(str(error), limit=120)}"


def _check_own_digest(data: bytes) -> None:
    """The last line holds the SHA-256 of all lines before it."""
    if not data.endswith(b"\n"):
        raise _Wrong("it does not end with a line")
    before = data.rfind(b"\n", 0, -1) + 1
    match = re.fullmatch(rb'\s*"Manifest-Checksum":\s*"([0-9a-f]{64})"\s*\}\s*', data[before:])
    if before == 0 or match is None:
        raise _Wrong("its last line is not its checksum")
    if hashlib.sha256(data[:before]).hexdigest().encode() != match[1]:
        raise _Wrong("its own checksum does not match: it was changed, or cut")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Wrong("a key stands there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _LIMIT_DIGITS:
        raise _Wrong("a number is too long")
    return int(text)


def _refuse(text: str) -> Any:
    raise _Wrong(f"{quoted(text, limit=20)} is no whole number")


def _manifest(document: Any, data: bytes) -> Manifest:
    if not isinstance(document, dict):
        raise _Wrong("it is no object")
    version = document.get(_VERSION)
    if version not in (1, 2) or isinstance(version, bool):
        raise _Wrong(f"version {quoted(str(version), limit=20)} is not known")
    expected = {_VERSION, _FILES, _WAL, _CHECKSUM} | ({_SYSTEM} if version == 2 else set())
    if set(document) != expected:
        odd = sorted(map(str, set(document) ^ expected))
        raise _Wrong(f"keys are missing or unknown: {quoted(', '.join(odd), limit=120)}")
    return Manifest(
        version=version,
        system_id=_system_id(document[_SYSTEM]) if version == 2 else None,
        files=_files(document[_FILES]),
        wal=tuple(_range(one) for one in _list(document[_WAL], _WAL)),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(f"{what} is no list")
    return value


def _system_id(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 64:
        raise _Wrong("the system identifier is none")
    return str(value)


def _files(value: Any) -> Mapping[bytes, ManifestFile]:
    files: dict[bytes, ManifestFile] = {}
    for one in _list(value, _FILES):
        file = _file(one)
        if file.path in files:
            raise _Wrong(f"{quoted(os.fsdecode(file.path), limit=200)} stands there twice")
        files[file.path] = file
    return files


def _file(one: Any) -> ManifestFile:
    if not isinstance(one, dict):
        raise _Wrong("a file is no object")
    unknown = set(one) - {"Path", "Encoded-Path", "Size", "Last-Modified", "Checksum-Algorithm", "Checksum"}
    if unknown or ("Path" in one) == ("Encoded-Path" in one):
        raise _Wrong("a file has no single path, or keys that are not known")
    path = _path(one)
    size = one.get("Size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 63:
        raise _Wrong(f"the size of {quoted(os.fsdecode(path), limit=200)} is none")
    algorithm, text = one.get("Checksum-Algorithm"), one.get("Checksum")
    if algorithm is None and text is None:
        return ManifestFile(path, size, None, b"")
    if algorithm not in _DIGEST_BYTES or not isinstance(text, str) or not _HEX.fullmatch(text):
        raise _Wrong(f"the checksum of {quoted(os.fsdecode(path), limit=200)} is none")
    digest = bytes.fromhex(text)
    if len(digest) != _DIGEST_BYTES[algorithm]:
        raise _Wrong(f"the checksum of {quoted(os.fsdecode(path), limit=200)} has the wrong length")
    return ManifestFile(path, size, algorithm if digest else None, digest)


def _path(one: dict[str, Any]) -> bytes:
    text = one.get("Path", one.get("Encoded-Path"))
    if not isinstance(text, str):
        raise _Wrong("a path is no text")
    if "Encoded-Path" in one:
        if not _HEX.fullmatch(text):
            raise _Wrong("an encoded path is not hexadecimal")
        path = bytes.fromhex(text)
    else:
        try:
            path = text.encode()
        except UnicodeEncodeError as error:
            raise _Wrong("a path is no text") from error
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise _Wrong(f"{quoted(os.fsdecode(path), limit=200)} leads out of the data directory, or nowhere")
    return path


def _range(one: Any) -> WalRange:
    if not isinstance(one, dict) or set(one) != {"Timeline", "Start-LSN", "End-LSN"}:
        raise _Wrong("a range of WAL has other keys than it should")
    timeline = one["Timeline"]
    if isinstance(timeline, bool) or not isinstance(timeline, int) or not 0 < timeline < 1 << 32:
        raise _Wrong("the timeline of a range of WAL is none")
    try:
        start, end = (parse_lsn(str(one[key]), timeline=timeline) for key in ("Start-LSN", "End-LSN"))
    except ValueError as error:
        raise _Wrong("a range of WAL has no positions") from error
    if end < start:
        raise _Wrong("a range of WAL ends before it begins")
    return WalRange(start, end)
