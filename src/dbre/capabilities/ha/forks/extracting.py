"""From a fenced server's files to a file of rows: whose directory, who is the primary now, and one line for each change."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError, PrecheckFailed, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import closest, quoted
from dbre.ports.engine import Access, EngineRegistry, Timeouts
from dbre.ports.forks import LostChange, LostWrites
from dbre.ports.session import Role

__all__ = ["LostFile", "directory_of", "find_survivor", "instance_of", "write_lost"]

_TIMEOUTS = Timeouts(connect_seconds=5.0, statement_seconds=600.0, lock_seconds=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFile:
    """Where lost writes were written, and how many."""

    path: Path
    changes: int


def instance_of(cluster: Cluster, name: str) -> Instance:
    """The instance of that name in the cluster. Raises: UsageError."""
    for one in cluster.instances:
        if one.name == name:
            return one
    names = [one.name for one in cluster.instances]
    near = closest(name, names)
    raise UsageError(
        f"cluster {cluster.name} has no instance {quoted(name, limit=60)}",
        hint=f"did you mean {near}?" if near else f"it has: {', '.join(names)}",
    )


def directory_of(cluster: Cluster, instance: Instance | None, given: Path | None) -> Path:
    """The data directory of the old primary. Raises: UsageError where nobody says which, or it is none."""
    directory = given
    if directory is None:
        control = instance.control if instance is not None else None
        named = control.data_directory if control is not None else None
        if named is None:
            raise UsageError(
                f"nobody says which data directory of {cluster.name} to read",
                hint="--data-directory DIR, or control: data_directory of the instance in dbre.yaml",
            )
        directory = Path(named)
    if not (directory / "PG_VERSION").is_file():
        raise UsageError(
            f"{quoted(str(directory))} is no data directory", hint="it lies on the machine of the old primary: go there"
        )
    return directory


async def find_survivor(engines: EngineRegistry, cluster: Cluster, old: Instance | None) -> Access:
    """How to ask the primary of today. Raises: PrecheckFailed where no other instance takes writes, or several do."""
    engine = engines.get(cluster.engine)
    found, reasons = [], []
    for instance in cluster.instances:
        if old is not None and instance.name == old.name:
            continue
        access = Access.to(cluster, instance.address, timeouts=_TIMEOUTS)
        server = engine.connect(access)
        try:
            identity = await server.session.identify()
        except DbreError as error:
            reasons.append(error.message)
            continue
        finally:
            await server.aclose()
        if identity.role is Role.PRIMARY and not identity.is_read_only:
            found.append(access)
        else:
            reasons.append(f"{instance.name} takes no writes")
    if len(found) != 1:
        why = "; ".join(reasons) if not found else ", ".join(str(one.address) for one in found)
        raise PrecheckFailed(
            f"{len(found)} instances of {cluster.name} are the primary of today, and 1 was due: {why}",
            hint="dbre ha status; or say where the histories parted: --fork POSITION",
        )
    return found[0]


def write_lost(found: LostWrites, path: Path, *, cluster: str) -> LostFile:
    """A new file that only its owner may read: a line about the fork, then one for each change. Raises: PrecheckFailed."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PrecheckFailed(f"{path} cannot be made: {error.strerror}", hint="name a file that is not there yet") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in _lines(found, cluster))
    except OSError as error:
        path.unlink(missing_ok=True)  # half of it would be taken for all of it
        raise PrecheckFailed(f"{path} cannot be written: {error.strerror}", hint="make room, or name another file") from error
    return LostFile(path=path, changes=len(found.changes))


def _lines(found: LostWrites, cluster: str) -> Iterator[str]:
    yield json.dumps(
        {
            "kind": "LostWrites",
            "cluster": cluster,
            "system_id": found.system_id,
            "timeline": found.timeline,
            "fork": found.fork,
            "end": found.end,
            "transactions": found.transactions,
            "changes": len(found.changes),
            "notes": list(found.notes),
        },
        ensure_ascii=False,
    )
    yield from map(_line, found.changes)


def _line(change: LostChange) -> str:
    """Rows are put in as the server wrote them: a number that was read and written again may be another one."""
    head = json.dumps(
        {
            "transaction": change.transaction,
            "committed_at": change.committed_at.isoformat(),
            "position": change.position,
            "change": change.kind.value,
            "database": change.database,
            "schema": change.schema,
            "table": change.table,
        },
        ensure_ascii=False,
    )
    return f'{head[:-1]}, "row": {_one_line(change.row)}, "before": {_one_line(change.before)}}}'


def _one_line(row: str | None) -> str:
    """A column of type json may bring line breaks of its own, which mean nothing between its tokens."""
    return row.replace("\r", " ").replace("\n", " ") if row is not None else "null"
