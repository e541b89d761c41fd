"""Level L1: every file of a copy compared with its manifest, several at once."""

import asyncio
import io
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dbre.core.text import counted
from dbre.engines.postgres.backup.checksums import STRONG, digest_of
from dbre.engines.postgres.backup.label import LABEL, read_label
from dbre.engines.postgres.backup.log_names import is_log_name
from dbre.engines.postgres.backup.manifest import MANIFEST, Manifest, ManifestFile, read_manifest
from dbre.engines.postgres.backup.plain_files import open_plain
from dbre.engines.postgres.backup.system_id import system_id_of
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFault, Verified

__all__ = ["verify_copy"]

_LARGE_BYTES = 1 << 20
_BATCH_FILES = 24
_LOG_DIRECTORY = b"pg_wal"
_LOG_FOLDERS = (b"archive_status", b"summaries")


async def verify_copy(directory: Path, *, manifest: Path | None) -> Verified:
    """Compare a copy with its own manifest, or with one that was kept elsewhere; then both manifests must be the same."""
    return await asyncio.to_thread(_verify, directory, manifest)


def _verify(directory: Path, kept: Path | None) -> Verified:
    begun = time.monotonic()
    faults: list[CopyFault] = []
    try:
        manifest = read_manifest(kept or directory / MANIFEST)
        if kept is not None and read_manifest(directory / MANIFEST).sha256 != manifest.sha256:
            faults.append(_fault("manifest", MANIFEST, "it is not the manifest that was kept apart"))
    except CopyDamaged as error:
        fault = _fault("manifest", MANIFEST, error.message)
        return Verified(files=0, bytes=0, seconds=time.monotonic() - begun, faults=(fault,))
    there, odd = _walk(os.fsencode(directory))
    faults += odd
    faults += [
        _fault("missing_file", path, "it is in the manifest and not here") for path in manifest.files.keys() - there.keys()
    ]
    faults += [
        _fault("extra_file", path, "it is here and not in the manifest")
        for path in there.keys() - manifest.files.keys()
        if not _is_log(path) and path != os.fsencode(MANIFEST)
    ]
    present = [file for path, file in manifest.files.items() if path in there]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for found in pool.map(lambda batch: [_compare(os.fsencode(directory), file) for file in batch], _batches(present)):
            faults += [fault for fault in found if fault is not None]
    faults += _contradictions(directory, manifest)
    return Verified(
        files=len(present),
        bytes=sum(file.size for file in present),
        seconds=time.monotonic() - begun,
        faults=tuple(sorted(faults, key=lambda one: (one.subject, one.rule))),
        remarks=tuple(_remarks(present)),
    )


def _remarks(files: list[ManifestFile]) -> Iterator[str]:
    """What was compared by less than a cryptographic checksum: the manifest has no other."""
    by_sum = sum(1 for one in files if one.algorithm is not None and one.algorithm not in STRONG)
    if by_sum:
        yield f"{counted(by_sum, 'file')} compared by CRC-32C: that finds accidents, and nothing that was changed on purpose"
    by_size = sum(1 for one in files if one.algorithm is None)
    if by_size:
        yield f"{counted(by_size, 'file')} compared by size alone: the manifest has no checksums, nobody knows what is in them"


def _fault(rule: str, subject: bytes | str, detail: str) -> CopyFault:
    return CopyFault(rule=rule, subject=os.fsdecode(subject), detail=detail)


def _walk(root: bytes) -> tuple[dict[bytes, int], list[CopyFault]]:
    """Every regular file with its size; everything that is neither that nor a directory is a fault, links above all."""
    files: dict[bytes, int] = {}
    faults: list[CopyFault] = []
    for entry, path in _entries(root, b""):
        kind = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(kind.st_mode):
            files[path] = kind.st_size
        else:
            what = "a link" if entry.is_symlink() else "no regular file"
            faults.append(_fault("extra_file", path, f"it is {what}; copies hold none"))
    return files, faults


def _entries(root: bytes, below: bytes) -> "Iterator[tuple[os.DirEntry[bytes], bytes]]":
    with os.scandir(os.path.join(root, below)) as entries:  # noqa: PTH118 -- names need not be text
        for entry in entries:
            path = below + b"/" + entry.name if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(root, path)
            else:
                yield entry, path


def _is_log(path: bytes) -> bool:
    """Log that came with the copy, and what servers note beside it, is in no manifest: level L2 reads it."""
    parts = path.split(b"/")
    if parts[0] != _LOG_DIRECTORY or len(parts) == 1:
        return False
    return (len(parts) == 2 and is_log_name(os.fsdecode(parts[1]))) or (len(parts) == 3 and parts[1] in _LOG_FOLDERS)


def _batches(files: list[ManifestFile]) -> list[list[ManifestFile]]:
    """The largest first, so that no thread begins one when all others have ended; small ones by dozens."""
    large = sorted((one for one in files if one.size >= _LARGE_BYTES), key=lambda one: -one.size)
    small = [one for one in files if one.size < _LARGE_BYTES]
    return [[one] for one in large] + [small[at : at + _BATCH_FILES] for at in range(0, len(small), _BATCH_FILES)]


def _compare(root: bytes, file: ManifestFile) -> CopyFault | None:
    try:
        descriptor = open_plain(os.path.join(root, file.path))  # noqa: PTH118 -- names need not be text
    except OSError as error:
        return _fault("missing_file", file.path, f"it cannot be read: {error.strerror or error}")
    with io.FileIO(descriptor) as stream:
        size = os.fstat(descriptor).st_size
        if size != file.size:
            return _fault("size", file.path, f"it has {size} bytes, and {file.size} were copied")
        if file.algorithm is None:
            return None  # told as a remark
        try:
            is_same = file.digest == digest_of(stream, file.algorithm)
        except OSError as error:
            return _fault("missing_file", file.path, f"it cannot be read: {error.strerror or error}")
    if not is_same:
        return _fault("checksum", file.path, f"its {file.algorithm} is not that of what was copied")
    return None


def _contradictions(directory: Path, manifest: Manifest) -> list[CopyFault]:
    """What can be wrong although every file is as the manifest says: a manifest of another copy, or none that can start."""
    faults: list[CopyFault] = []
    faults += [
        _fault("missing_file", needed, "no copy can start without it, and the manifest does not name it")
        for needed in (LABEL, "PG_VERSION", "global/pg_control")
        if os.fsencode(needed) not in manifest.files
    ]
    if not manifest.wal:
        faults.append(_fault("manifest", MANIFEST, "it names no range of WAL"))
    try:
        found = system_id_of(directory)
        if manifest.system_id not in (None, found):
            faults.append(_fault("wrong_system", "global/pg_control", f"it is of system {found}, not {manifest.system_id}"))
        label = read_label(directory)
        if manifest.wal and label.start not in [one.start for one in manifest.wal]:
            faults.append(_fault("manifest", LABEL, f"it begins at {label.start.text}, where the manifest has no range"))
    except CopyDamaged as error:
        faults.append(_fault("missing_file", LABEL, error.message))
    return faults
