"""A list of all files of a copy with size and SHA-256, for engines whose own tools write none; written when a copy ends.

The list has a checksum of its own over everything else in it, so that no change of it goes unseen, and carries what the
engine knows of the copy. Names of files are bytes: those that are no UTF-8 are kept by ``surrogateescape``.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dbre.core.text import printable
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFault, Verified

__all__ = ["MANIFEST_NAME", "FileEntry", "FileManifest", "read_file_manifest", "verify_files", "write_file_manifest"]

MANIFEST_NAME = "dbre-manifest.json"

_FORMAT = 1
_CHUNK_BYTES = 4 * 2**20
_LARGEST_BYTES = 512 * 2**20  # of a manifest: a million files need about a quarter of it
_THREADS = max(2, min(8, os.cpu_count() or 2))  # hashing lets other threads run


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file."""

    path: str  # relative, with slashes
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileManifest:
    """All files of a copy, in the order of their paths, and what the engine says of it."""

    engine: str
    facts: Mapping[str, Any]
    files: tuple[FileEntry, ...]


def write_file_manifest(directory: Path, *, engine: str, facts: Mapping[str, Any]) -> FileManifest:
    """Read every file below ``directory`` and write the list durably. Raises: CopyDamaged where something is no file."""
    paths = list(_paths(directory))
    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(lambda path: _entry(directory, path), paths))
    manifest = FileManifest(engine=engine, facts=dict(facts), files=files)
    document = _document(manifest)
    text = json.dumps({**document, "sha256": _checksum(document)}, indent=1, sort_keys=True)
    descriptor = os.open(directory / MANIFEST_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return manifest


def read_file_manifest(path: Path, *, engine: str) -> FileManifest:
    """A manifest that proves to be as it was written. Raises: CopyDamaged where it is not, or is another engine's."""
    try:
        return _parse(path, engine)
    except FileNotFoundError as error:
        raise CopyDamaged(f"{path}: there is no manifest", hint="the copy is not complete, or is no copy") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = printable(str(error), limit=200)
        raise CopyDamaged(f"{path} is no manifest: {reason}", hint="take another copy of the set, or another set") from error


def verify_files(directory: Path, *, engine: str, manifest: Path | None = None) -> Verified:
    """Compare every file with the manifest; a separately kept one is believed, and must equal the one in the directory."""
    began = time.monotonic()
    inside = directory / MANIFEST_NAME
    faults: list[CopyFault] = []
    try:
        expected = read_file_manifest(manifest or inside, engine=engine)
        if manifest is not None and (not inside.is_file() or inside.read_bytes() != manifest.read_bytes()):
            faults.append(
                CopyFault(rule="manifest", subject=MANIFEST_NAME, detail="it is not the one that was kept separately")
            )
    except CopyDamaged as error:
        fault = CopyFault(rule="manifest", subject=MANIFEST_NAME, detail=error.message)
        return Verified(files=0, bytes=0, seconds=time.monotonic() - began, faults=(fault,))
    there, odd = _what_is_there(directory)
    faults += odd
    listed = {entry.path for entry in expected.files}
    faults += [
        CopyFault(rule="extra_file", subject=name, detail="the manifest does not list it") for name in sorted(there - listed)
    ]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda entry: _compare(directory, entry, there), expected.files))
    faults += [fault for fault in found if fault is not None]
    return Verified(
        files=len(expected.files),
        bytes=sum(entry.size for entry in expected.files),
        seconds=time.monotonic() - began,
        faults=tuple(faults),
    )


def _parse(path: Path, engine: str) -> FileManifest:
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"it has more than {_LARGEST_BYTES} bytes")
    document = json.loads(path.read_bytes(), object_pairs_hook=_without_repetition)
    if not isinstance(document, dict):
        raise TypeError("it is no mapping")
    given = document.pop("sha256", None)
    if given != _checksum(document):
        raise ValueError("its own checksum is wrong")
    if (document["format"], document["engine"]) != (_FORMAT, engine):
        raise ValueError(f"it is of format {document['format']!r} and engine {document['engine']!r}")
    files = tuple(FileEntry(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in document["files"])
    _require_safe(files)
    return FileManifest(engine=engine, facts=document["facts"], files=files)


def _document(manifest: FileManifest) -> dict[str, Any]:
    files = [{"path": one.path, "size": one.size, "sha256": one.sha256} for one in manifest.files]
    return {"format": _FORMAT, "engine": manifest.engine, "facts": manifest.facts, "files": files}


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _require_safe(files: tuple[FileEntry, ...]) -> None:
    for entry in files:
        pure = PurePosixPath(entry.path)
        if not entry.path or pure.is_absolute() or ".." in pure.parts or str(pure) != entry.path or "\0" in entry.path:
            raise ValueError(f"path {entry.path!r} leads out of the copy")
        if entry.size < 0 or len(entry.sha256) != hashlib.sha256().digest_size * 2:
            raise ValueError(f"size or checksum of {entry.path!r} cannot be right")
    if len({entry.path for entry in files}) != len(files):
        raise ValueError("a path is listed twice")


def _walk(directory: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(directory / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                elif name != MANIFEST_NAME:
                    yield name, entry


def _paths(directory: Path) -> Iterator[str]:
    found = []
    for name, entry in _walk(directory):
        if not entry.is_file(follow_symlinks=False):
            raise CopyDamaged(f"{directory}: {printable(name)} is neither file nor directory", hint="a copy holds only files")
        found.append(name)
    yield from sorted(found)


def _what_is_there(directory: Path) -> tuple[set[str], list[CopyFault]]:
    there, odd = set(), []
    for name, entry in _walk(directory):
        if entry.is_file(follow_symlinks=False):
            there.add(name)
        else:
            odd.append(CopyFault(rule="extra_file", subject=name, detail="it is neither file nor directory"))
    return there, odd


def _entry(directory: Path, name: str) -> FileEntry:
    size, digest = _read(directory / name)
    return FileEntry(name, size, digest)


def _read(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CopyDamaged(f"{path} is not a file")
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _compare(directory: Path, entry: FileEntry, there: set[str]) -> CopyFault | None:
    if entry.path not in there:
        return CopyFault(rule="missing_file", subject=entry.path, detail="the manifest lists it, and it is not there")
    try:
        size, digest = _read(directory / entry.path)
    except OSError as error:
        return CopyFault(rule="unreadable", subject=entry.path, detail=error.strerror or str(error))
    if size != entry.size:
        return CopyFault(rule="size", subject=entry.path, detail=f"it has {size} bytes, and the manifest says {entry.size}")
    if digest != entry.sha256:
        return CopyFault(rule="checksum", subject=entry.path, detail="its SHA-256 is not the manifest's")
    return None
