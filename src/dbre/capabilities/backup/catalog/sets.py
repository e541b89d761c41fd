"""Sets in the state store."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.errors import NoSuchSet
from dbre.capabilities.backup.catalog.positions import position_of, position_value
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.tables import backup_set
from dbre.core.text import quoted
from dbre.ports.backup.model import ChecksumState, CopyKind

__all__ = [
    "change_state",
    "find_set",
    "get_set",
    "insert_set",
    "list_sets",
    "mark_proven",
    "set_hold",
    "set_named",
    "update_set",
]

_PLAIN = (
    "id",
    "cluster",
    "engine",
    "policy",
    "provider",
    "system_id",
    "parent_id",
    "started_at",
    "stopped_at",
    "version_text",
    "tool",
    "bytes_source",
    "bytes_stored",
    "manifest_sha256",
    "proven_at",
    "hold",
    "lock_until",
    "operation_id",
)
_SHORTEST_NAME = 4


async def insert_set(connection: AsyncConnection, one: BackupSet) -> None:
    """Write a new set."""
    await connection.execute(insert(backup_set).values(_values(one)))


async def update_set(connection: AsyncConnection, one: BackupSet) -> None:
    """Replace what is known of a set, but for ``proven_at`` and ``hold``, which others write meanwhile. Raises: NoSuchSet."""
    values = {name: value for name, value in _values(one).items() if name not in {"proven_at", "hold"}}
    await _change(connection, one.id, values)


async def change_state(
    connection: AsyncConnection, set_id: str, state: SetState, *, expected: Collection[SetState] = ()
) -> bool:
    """Let a set go on to ``state``; False where it is in none of ``expected`` (empty: any)."""
    statement = update(backup_set).where(backup_set.c.id == set_id).values(state=state.value)
    if expected:
        statement = statement.where(backup_set.c.state.in_([one.value for one in expected]))
    return (await connection.execute(statement)).rowcount == 1


async def mark_proven(connection: AsyncConnection, set_id: str, at: datetime) -> None:
    """Note that a drill passed with a set; an older proof never takes the place of a newer one."""
    older = backup_set.c.proven_at.is_(None) | (backup_set.c.proven_at < at)
    await connection.execute(update(backup_set).where(backup_set.c.id == set_id, older).values(proven_at=at))


async def set_hold(connection: AsyncConnection, set_id: str, reason: str | None) -> None:
    """Keep a set whatever the retention says, or no longer (None). Raises: NoSuchSet."""
    await _change(connection, set_id, {"hold": reason})


async def get_set(connection: AsyncConnection, set_id: str) -> BackupSet | None:
    """The set of that id; None where there is none."""
    row = (await connection.execute(select(backup_set).where(backup_set.c.id == set_id))).first()
    return None if row is None else _set(row)


async def find_set(connection: AsyncConnection, set_id: str) -> BackupSet:
    """The set of that id. Raises: NoSuchSet."""
    found = await get_set(connection, set_id)
    if found is None:
        raise NoSuchSet(f"there is no set {quoted(set_id, limit=80)}", hint="dbre backup list")
    return found


async def set_named(connection: AsyncConnection, text: str) -> BackupSet:
    """The set that people mean by its id or a unique end of it (ids of one night begin alike). Raises: NoSuchSet."""
    word = text.strip().lower().removeprefix("set/")
    if exact := await get_set(connection, word):
        return exact
    if len(word) < _SHORTEST_NAME or not set(word) <= set("0123456789abcdef-"):
        raise NoSuchSet(f"there is no set {quoted(text, limit=80)}", hint="dbre backup list")
    statement = select(backup_set).where(backup_set.c.id.endswith(word, autoescape=True)).limit(2)
    rows = (await connection.execute(statement)).all()
    if not rows:
        raise NoSuchSet(f"there is no set {quoted(text, limit=80)}", hint="dbre backup list")
    if len(rows) > 1:
        raise NoSuchSet(f"more than one set ends with {quoted(text, limit=80)}", hint="write more of the id (dbre backup list)")
    return _set(rows[0])


async def list_sets(
    connection: AsyncConnection,
    *,
    cluster: str | None = None,
    states: Collection[SetState] = (),
    since: datetime | None = None,
    limit: int | None = None,
) -> Sequence[BackupSet]:
    """Sets by when they were begun, the oldest first; ``limit`` keeps the newest."""
    statement = select(backup_set).order_by(backup_set.c.started_at.desc(), backup_set.c.id.desc())
    if cluster is not None:
        statement = statement.where(backup_set.c.cluster == cluster)
    if states:
        statement = statement.where(backup_set.c.state.in_([one.value for one in states]))
    if since is not None:
        statement = statement.where(backup_set.c.started_at >= since)
    if limit is not None:
        statement = statement.limit(limit)
    return [_set(row) for row in await connection.execute(statement)][::-1]


async def _change(connection: AsyncConnection, set_id: str, values: dict[str, Any]) -> None:
    if (await connection.execute(update(backup_set).where(backup_set.c.id == set_id).values(values))).rowcount != 1:
        raise NoSuchSet(f"there is no set {quoted(set_id, limit=80)}", hint="dbre backup list")


def _values(one: BackupSet) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _PLAIN} | {
        "kind": one.kind.value,
        "state": one.state.value,
        "start_position": position_value(one.start),
        "stop_position": position_value(one.stop),
        "checksums": one.checksums.value,
        "vaults": list(one.vaults),
        "details": dict(one.details),
    }


def _set(row: Row[Any]) -> BackupSet:
    return BackupSet(
        **{name: getattr(row, name) for name in _PLAIN},
        kind=CopyKind(row.kind),
        state=SetState(row.state),
        start=position_of(row.start_position),
        stop=position_of(row.stop_position),
        checksums=ChecksumState(row.checksums),
        vaults=tuple(row.vaults),
        details=row.details,
    )
