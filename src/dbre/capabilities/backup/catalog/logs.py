"""Log files in the state store."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.model import LogState, StoredLog
from dbre.capabilities.backup.tables import backup_log
from dbre.core.text import quoted
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import LogFile, LogKind

__all__ = ["delete_logs", "get_log", "insert_log", "list_logs", "mark_logs", "update_log"]

_CHUNK = 500


async def insert_log(connection: AsyncConnection, one: StoredLog) -> bool:
    """Write a log file; False where the very same is known already. A partial file is replaced by its newer self.

    Raises: LogConflict where the name is known with other contents.
    """
    known = await get_log(connection, one.cluster, one.system_id, one.file.name)
    if known is None:
        await connection.execute(insert(backup_log).values(_values(one)))
        return True
    if known.file.sha256 == one.file.sha256:
        return False
    if one.file.kind is LogKind.PARTIAL or known.state is LogState.LOST:
        await update_log(connection, one)
        return True
    raise LogConflict(
        f"log file {quoted(one.file.name, limit=80)} of {one.cluster} is known with SHA-256 {known.file.sha256[:12]}...,"
        f" and came again with {one.file.sha256[:12]}...",
        hint="two servers write under one name: look for a second primary or a copy that archives into the same place",
        context={"cluster": one.cluster, "system_id": one.system_id, "name": one.file.name},
    )


async def update_log(connection: AsyncConnection, one: StoredLog) -> None:
    """Replace what is known of a log file; nothing happens where it is unknown."""
    await connection.execute(update(backup_log).where(*_key(one.cluster, one.system_id, one.file.name)).values(_values(one)))


async def mark_logs(
    connection: AsyncConnection,
    cluster: str,
    system_id: str,
    names: Collection[str],
    *,
    state: LogState | None = None,
    vaults: Sequence[str] | None = None,
) -> int:
    """Note how far some log files have come; how many there were."""
    values: dict[str, Any] = {}
    if state is not None:
        values["state"] = state.value
    if vaults is not None:
        values["vaults"] = list(vaults)
    if not values:
        return 0
    changed = 0
    for chunk in _chunks(names):
        statement = update(backup_log).where(*_among(cluster, system_id, chunk)).values(values)
        changed += (await connection.execute(statement)).rowcount
    return changed


async def delete_logs(connection: AsyncConnection, cluster: str, system_id: str, names: Collection[str]) -> int:
    """Forget log files, such as a partial one that was completed; how many there were."""
    gone = 0
    for chunk in _chunks(names):
        gone += (await connection.execute(delete(backup_log).where(*_among(cluster, system_id, chunk)))).rowcount
    return gone


async def get_log(connection: AsyncConnection, cluster: str, system_id: str, name: str) -> StoredLog | None:
    """The log file of that name; None where it is unknown."""
    row = (await connection.execute(select(backup_log).where(*_key(cluster, system_id, name)))).first()
    return None if row is None else _log(row)


async def list_logs(
    connection: AsyncConnection,
    cluster: str,
    *,
    system_id: str | None = None,
    timeline: int | None = None,
    states: Collection[LogState] = (),
    since: datetime | None = None,
    ends_after: int | None = None,
    limit: int | None = None,
) -> Sequence[StoredLog]:
    """Log files by timeline and place in it; ``ends_after`` is a value of a position, ``limit`` keeps the last ones."""
    table = backup_log
    statement = (
        select(table)
        .where(table.c.cluster == cluster)
        .order_by(table.c.system_id.desc(), table.c.timeline.desc(), table.c.start_value.desc(), table.c.name.desc())
    )
    if system_id is not None:
        statement = statement.where(table.c.system_id == system_id)
    if timeline is not None:
        statement = statement.where(table.c.timeline == timeline)
    if states:
        statement = statement.where(table.c.state.in_([one.value for one in states]))
    if since is not None:
        statement = statement.where(table.c.received_at >= since)
    if ends_after is not None:
        statement = statement.where(table.c.end_value > ends_after)
    if limit is not None:
        statement = statement.limit(limit)
    return [_log(row) for row in await connection.execute(statement)][::-1]


def _key(cluster: str, system_id: str, name: str) -> tuple[Any, ...]:
    return (backup_log.c.cluster == cluster, backup_log.c.system_id == system_id, backup_log.c.name == name)


def _among(cluster: str, system_id: str, names: Sequence[str]) -> tuple[Any, ...]:
    return (backup_log.c.cluster == cluster, backup_log.c.system_id == system_id, backup_log.c.name.in_(names))


def _chunks(names: Collection[str]) -> Sequence[Sequence[str]]:
    wanted = sorted(set(names))
    return [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]


def _values(one: StoredLog) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "system_id": one.system_id,
        "name": one.file.name,
        "kind": one.file.kind.value,
        "timeline": one.file.timeline,
        "start_value": one.file.start,
        "end_value": one.file.end,
        "size": one.file.size,
        "sha256": one.file.sha256,
        "state": one.state.value,
        "received_at": one.received_at,
        "last_commit_at": one.last_commit_at,
        "vaults": list(one.vaults),
    }


def _log(row: Row[Any]) -> StoredLog:
    return StoredLog(
        cluster=row.cluster,
        system_id=row.system_id,
        file=LogFile(
            name=row.name,
            kind=LogKind(row.kind),
            timeline=row.timeline,
            start=row.start_value,
            end=row.end_value,
            size=row.size,
            sha256=row.sha256,
        ),
        state=LogState(row.state),
        received_at=row.received_at,
        last_commit_at=row.last_commit_at,
        vaults=tuple(row.vaults),
    )
