"""What a copy that lies in a directory says of itself."""

from datetime import UTC, datetime
from pathlib import Path

from dbre.core.text import printable
from dbre.engines.postgres.backup.label import read_label
from dbre.engines.postgres.backup.manifest import MANIFEST, read_manifest
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.engines.postgres.backup.system_id import system_id_of
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind

__all__ = ["copy_facts", "major_of"]

_VERSION_BYTES = 64


def major_of(directory: Path) -> int:
    """The major version of a data directory. Raises: CopyDamaged."""
    path = directory / "PG_VERSION"
    try:
        text = read_plain(path, limit=_VERSION_BYTES).decode(errors="replace").strip()
        return int(text)
    except (OSError, ValueError) as error:
        raise CopyDamaged(f"{path}: it does not say which version of PostgreSQL made the copy") from error


def copy_facts(directory: Path) -> CopyFacts:
    """Read label, manifest and control file; the moment of the end is that of the manifest, which is written last.

    Raises: CopyDamaged where one of them is missing, or they contradict each other.
    """
    label, manifest, system_id = read_label(directory), read_manifest(directory / MANIFEST), system_id_of(directory)
    if manifest.system_id not in (None, system_id):
        raise CopyDamaged(f"{directory}: the manifest is of system {manifest.system_id}, the control file of {system_id}")
    if not manifest.wal:
        raise CopyDamaged(f"{directory}: the manifest names no range of WAL")
    stop = max(one.end for one in manifest.wal)
    ended = datetime.fromtimestamp((directory / MANIFEST).lstat().st_mtime, UTC)
    return CopyFacts(
        kind=CopyKind.INCREMENTAL if label.incremental_from else CopyKind.FULL,
        system_id=system_id,
        start=label.start,
        stop=stop,
        started_at=label.started_at,
        stopped_at=max(ended, label.started_at),
        bytes=sum(file.size for file in manifest.files.values()),
        files=len(manifest.files),
        manifest=directory / MANIFEST,
        checksums=ChecksumState.UNCHECKED,
        tool="pg_basebackup (PostgreSQL)",
        product="postgresql",
        version_text=str(major_of(directory)),
        details={
            "label": printable(label.label, limit=200),
            "is_from_replica": label.is_from_replica,
            "incremental_from": label.incremental_from.text if label.incremental_from else None,
            "manifest_sha256": manifest.sha256,
            "manifest_version": manifest.version,
        },
    )
