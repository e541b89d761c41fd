"""A directory that ``mongodump --oplog --out`` wrote: read by us, because no tool verifies one without restoring it.

Source: MongoDB Database Tools, "mongodump": ``--oplog`` writes ``oplog.bson`` at the top; each collection is a ``.bson`` and a
``.metadata.json``, both ``.gz`` with ``--gzip``; ``prelude.json`` tells the versions (100.10 and later).
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import msgspec

from dbre.core.errors import Denied
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyFault
from dbre.tools.mongodb_backup.bson_stream import BrokenBson, documents, timestamp_of

__all__ = ["Dump", "check_dump", "find_dumps", "read_dump"]

_OPLOG = ("oplog.bson", "oplog.bson.gz")
_PRELUDE = ("prelude.json", "prelude.json.gz")
_LONGEST_PRELUDE = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """One dump. ``first`` and ``last`` are the ends of its oplog; None: it has none, or an empty or broken one."""

    label: str
    path: Path
    first: int | None
    last: int | None
    problem: str | None  # what is wrong with its oplog
    is_compressed: bool
    bytes: int
    written_at: datetime  # of its newest file
    begun_at: datetime  # of its oldest file
    server_version: str | None


class _Prelude(msgspec.Struct):
    server: str | None = msgspec.field(name="ServerVersion", default=None)


def find_dumps(root: Path) -> tuple[Dump, ...]:
    """The dumps below a directory, oldest first: directories with an oplog, or with collections of a database.

    Raises: Denied, ProgramFailed.
    """
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except PermissionError as error:
        raise Denied(f"{root} cannot be read", hint="run dbre as the account that makes the dumps") from error
    except OSError as error:
        raise ProgramFailed(
            f"{root} cannot be read: {error.strerror}", hint="--stanza DIRECTORY, where the dumps lie"
        ) from error
    found = [dump for name in names if not name.startswith(".") and (dump := read_dump(root / name)) is not None]
    return tuple(sorted(found, key=lambda one: (one.written_at, one.label)))


def read_dump(path: Path) -> Dump | None:
    """What one directory is; None where it is no dump."""
    files = list(_files(path))
    oplog = next((path / name for name in _OPLOG if (path / name).is_file()), None)
    if oplog is None and not any(one.name.endswith((".bson", ".bson.gz")) for one in files):
        return None
    times = [one.stat(follow_symlinks=False).st_mtime for one in files]
    first, last, problem = (None, None, None) if oplog is None else _ends(oplog)
    return Dump(
        label=path.name,
        path=path,
        first=first,
        last=last,
        problem=problem,
        is_compressed=any(one.name.endswith(".bson.gz") for one in files),
        bytes=sum(one.stat(follow_symlinks=False).st_size for one in files),
        written_at=datetime.fromtimestamp(int(max(times)), UTC),
        begun_at=datetime.fromtimestamp(int(min(times)), UTC),
        server_version=_server_version(path),
    )


def check_dump(dump: Dump) -> tuple[int, tuple[CopyFault, ...]]:
    """Reads every document of every collection: how many files, and what is wrong with them.

    A dump that was cut off, or a file of it, is found; rows that were changed with care are not: a dump has no checksums.
    """
    faults: list[CopyFault] = []
    files = list(_files(dump.path))
    names = set(files)
    for one in files:
        subject = f"{dump.label}/{one.relative_to(dump.path)}"
        base = one.name.removesuffix(".gz")
        if not base.endswith(".bson"):
            continue
        try:
            with _opened(one) as file:
                for _ in documents(file):
                    pass
        except (BrokenBson, OSError, EOFError, zlib.error) as error:
            faults.append(CopyFault(rule="checksum", subject=subject, detail=str(error)))
        stem = base.removesuffix(".bson")
        described = {one.with_name(f"{stem}.metadata.json"), one.with_name(f"{stem}.metadata.json.gz")}
        if one.parent != dump.path and not described & names:
            faults.append(
                CopyFault(rule="missing_file", subject=subject, detail="its metadata.json (options, indexes) is missing")
            )
    if dump.first is None:
        faults.append(
            CopyFault(rule="log_gap", subject=dump.label, detail=dump.problem or "it has no oplog: it is of no one moment")
        )
    return len(files), tuple(faults)


def _files(path: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(path, followlinks=False):
        for name in sorted(names):
            one = Path(directory) / name
            if one.is_file() and not one.is_symlink():
                yield one


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as raw:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield raw


def _ends(oplog: Path) -> tuple[int | None, int | None, str | None]:
    first, last = None, None
    try:
        with _opened(oplog) as file:
            for document in documents(file):
                at = timestamp_of(document)
                if last is not None and at < last:
                    return None, None, f"the entries of {oplog.name} are not in order"
                first, last = at if first is None else first, at
    except (BrokenBson, OSError, EOFError, zlib.error) as error:
        return None, None, f"{oplog.name} is damaged: {error}"
    return (
        first,
        last,
        None if first is not None else f"{oplog.name} has no entry: up to which moment the dump goes is not known",
    )


def _server_version(path: Path) -> str | None:
    for name in _PRELUDE:
        try:
            with _opened(path / name) as file:
                return msgspec.json.decode(file.read(_LONGEST_PRELUDE), type=_Prelude).server
        except (OSError, EOFError, zlib.error, msgspec.MsgspecError, RecursionError):
            continue  # older tools write none; what it says is shown only
    return None
