"""What a dump is: one file of roles, one directory a database, and a list of all files with what they are of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind
from dbre.ports.file_manifest import MANIFEST_NAME, FileManifest, read_file_manifest

__all__ = ["DUMP_ENGINE", "GLOBALS", "Dump", "DumpedDatabase", "facts_of", "folder_of", "read_dump"]

DUMP_ENGINE = "postgresql"
GLOBALS = "globals.sql"
"""Roles, memberships, settings of roles and databases."""
_DATABASES = "databases"


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpedDatabase:
    """One database. Its folder has a number, as names of databases are anybody's text."""

    name: str
    folder: str
    extensions: tuple[str, ...]  # "name version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """A dump that lies in a directory, as its manifest tells."""

    directory: Path
    major: int  # of the pg_dump that wrote it: servers of this major version or a newer one can load it
    bootstrap_role: str  # the role with oid 10, which initdb makes
    has_passwords: bool
    preload: tuple[str, ...]
    databases: tuple[DumpedDatabase, ...]
    files: FileManifest

    @property
    def version_text(self) -> str:
        """The version of the server that was dumped."""
        return str(self.files.facts["version_text"])

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(one.size for one in self.files.files)


def folder_of(number: int) -> str:
    """Where the database of that number lies.

    >>> folder_of(1)
    'databases/0001'
    """
    return f"{_DATABASES}/{number:04}"


def read_dump(directory: Path) -> Dump:
    """Read the manifest of a dump. Raises: CopyDamaged where there is none, or it is of something else."""
    path = directory / MANIFEST_NAME
    manifest = read_file_manifest(path, engine=DUMP_ENGINE)
    facts: Mapping[str, Any] = manifest.facts
    try:
        databases = tuple(
            DumpedDatabase(name=str(one["name"]), folder=folder_of(number), extensions=tuple(map(str, one["extensions"])))
            for number, one in enumerate(facts["databases"], 1)
        )
        return Dump(
            directory=directory,
            major=int(facts["dump_major"]),
            bootstrap_role=str(facts["bootstrap_role"]),
            has_passwords=bool(facts["has_passwords"]),
            preload=tuple(map(str, facts["preload"])),
            databases=databases,
            files=manifest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CopyDamaged(f"{path} is no manifest of a dump: {error}", hint="choose another set") from error


def facts_of(directory: Path) -> CopyFacts:
    """What a dump says of itself. Raises: CopyDamaged."""
    dump = read_dump(directory)
    facts = dump.files.facts
    try:
        return CopyFacts(
            kind=CopyKind.LOGICAL,
            system_id=str(facts["system_id"]),
            start=None,
            stop=None,
            started_at=datetime.fromisoformat(facts["started_at"]),
            stopped_at=datetime.fromisoformat(facts["stopped_at"]),
            bytes=dump.bytes,
            files=len(dump.files.files),
            manifest=directory / MANIFEST_NAME,
            checksums=ChecksumState.UNCHECKED,  # rows were read, but not every page
            tool=str(facts["tool"]),
            product="postgresql",
            version_text=dump.version_text,
            warnings=tuple(map(str, facts["warnings"])),
            details={"databases": list(facts["databases"]), "has_passwords": dump.has_passwords, "dump_major": dump.major},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CopyDamaged(f"{directory}: the manifest of the dump lacks {error}", hint="choose another set") from error
