"""Deletion in two phases: a tombstone says what is to go, and only after its grace it goes. It blocks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dbre.capabilities.backup.vault.contents import Stowed
from dbre.capabilities.backup.vault.errors import NotInVault, StillLocked
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.records import moment, when
from dbre.capabilities.backup.vault.state import Value, VaultState, objects_of
from dbre.core.errors import Denied, UsageError
from dbre.core.text import quoted

__all__ = ["Doomed", "delete", "doomed", "mark", "require_whole"]

Doomed = dict[str, tuple[list[str], list[str]]]
"""Sets and log files by server."""


def doomed(home: VaultHome, set_ids: Sequence[str], log_names: Sequence[str], system_id: str | None) -> Doomed:
    """See to which servers these belong. Raises: NotInVault; UsageError for log files without a server."""
    found: Doomed = {}
    states = home.states() if set_ids else {}
    for one in set_ids:
        owner = next((system for system, state in states.items() if one in state.sets), None)
        if owner is None:
            raise NotInVault(f"vault {home.document.name} has no set {quoted(one, limit=60)}")
        found.setdefault(owner, ([], []))[0].append(one)
    if log_names:
        if system_id is None:
            raise UsageError("log files are named within a server", hint="say which: system_id")
        known = home.state_of(system_id).logs
        for name in log_names:
            if name not in known:
                raise NotInVault(f"vault {home.document.name} has no log file {quoted(name, limit=100)}")
        found.setdefault(system_id, ([], []))[1].extend(log_names)
    return found


def _values(state: VaultState, sets: Sequence[str], logs: Sequence[str]) -> list[tuple[str, Value]]:
    return [(one, state.sets[one]) for one in sets] + [(one, state.logs[one]) for one in logs]


def mark(home: VaultHome, kind: str, which: Doomed, reason: str) -> None:
    """Append tombstones, or take them back (``revive``)."""
    for system, (sets, logs) in which.items():
        change = (kind, {"sets": sets, "logs": logs, "reason": reason})
        home.append(system, lambda _, change=change: change)  # type: ignore[misc]


def require_whole(home: VaultHome, which: Doomed) -> None:
    """See that nothing of it was deleted yet. Raises: ObjectMissing."""
    for system, (sets, logs) in which.items():
        for _, value in _values(home.state_of(system), sets, logs):
            for one in objects_of(value):
                home.require(Stowed.of(one))


def delete(home: VaultHome, which: Doomed, grace: timedelta) -> int:
    """Delete for good; gives the bytes that became free. Raises: StillLocked, Denied, before anything is deleted."""
    if not home.document.can_delete:
        raise Denied(
            f"vault {home.document.name} says can_delete: false", hint="run the expiry on the machine whose credentials can"
        )
    freed = 0
    for system, (sets, logs) in which.items():
        _refuse(home, home.state_of(system), sets, logs, grace)
    for system, (sets, logs) in which.items():
        for _, value in _values(home.state_of(system), sets, logs):
            for one in () if value["is_deleted"] else objects_of(value):
                home.storage.delete(one["key"], version_id=one["version_id"])
                freed += int(one["size"])
        change = ("delete", {"sets": sets, "logs": logs})
        home.append(system, lambda _, change=change: change)  # type: ignore[misc]
    return freed


def _refuse(home: VaultHome, state: VaultState, sets: Sequence[str], logs: Sequence[str], grace: timedelta) -> None:
    for name, value in _values(state, sets, logs):
        if not value["is_deleted"]:
            _refuse_one(f"{quoted(name, limit=100)} of vault {home.document.name}", value, home.clock.now(), grace)
    for one in state.sets.values():
        parent = one["record"]["parent_id"]
        if parent in sets and not one["is_deleted"] and one["record"]["id"] not in sets:
            raise StillLocked(f"set {parent} is needed by {one['record']['id']}, which stands on it", hint="expire both")


def _refuse_one(what: str, value: Value, now: datetime, grace: timedelta) -> None:
    tombstone, lock = value["tombstone"], moment(value["lock_until"])
    if tombstone is None:
        raise StillLocked(f"{what} has no tombstone", hint="deletion has two phases: tombstone, grace, delete")
    ripe = datetime.fromisoformat(tombstone["at"]) + grace
    if ripe > now:
        raise StillLocked(f"{what} may be deleted from {when(ripe)} on", hint="wait, or revive it")
    if lock is not None and lock > now:
        raise StillLocked(f"{what} is locked until {when(lock)}", hint="wait until then")
    hold = value.get("record", {}).get("hold")
    if hold:
        raise StillLocked(f"{what} is held: {quoted(hold, limit=200)}", hint="dbre backup release")
