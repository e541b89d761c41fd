"""Deletion in two phases: a tombstone says what is to go, and only after its grace it goes. It blocks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.vault.contents import Stowed
from dbre.capabilities.backup.vault.errors import NotInVault, StillLocked
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.records import moment, when
from dbre.capabilities.backup.vault.state import Value, VaultState, objects_of
from dbre.core.errors import Denied, UsageError
from dbre.core.text import quoted

__all__ = ["Doomed", "Settled", "delete", "doomed", "mark", "require_whole", "settle"]

Doomed = dict[str, tuple[list[str], list[str]]]
"""Sets and log files by server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of what was to go: all of it is gone but what is left."""

    bytes_freed: int
    sets_left: Mapping[str, str]  # why a set is still there
    logs_left: Mapping[str, Sequence[str]]  # by server


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


def settle(home: VaultHome, which: Doomed, kept_logs: Mapping[str, Iterable[str]], reason: str, grace: timedelta) -> Settled:
    """Mark what is to go and is not marked, take back the marks of log that is kept, delete what was marked ``grace`` ago.

    What is held, locked, in its grace, or needed by a set that stays, is left and told. What the index does not know, or
    deleted before, is gone already. Raises: Denied, Unreachable and the like.
    """
    freed, sets_left, logs_left = 0, dict[str, str](), dict[str, Sequence[str]]()
    for system, (asked_sets, asked_logs) in ({one: ([], []) for one in kept_logs} | which).items():
        state = home.state_of(system)
        sets = [one for one in asked_sets if one in state.sets and not state.sets[one]["is_deleted"]]
        logs = [one for one in asked_logs if one in state.logs and not state.logs[one]["is_deleted"]]
        again = [one for one in kept_logs.get(system, ()) if one not in asked_logs and _is_marked(state.logs.get(one))]
        if again:
            mark(home, "revive", {system: ([], again)}, "a rule keeps it again")
        new = (
            [one for one in sets if not state.sets[one]["tombstone"]],
            [one for one in logs if not state.logs[one]["tombstone"]],
        )
        if any(new):
            mark(home, "tombstone", {system: new}, reason)
        state, now = home.state_of(system), home.clock.now()
        why = _unripe(state, sets, now, grace)
        unripe = [one for one in logs if _obstacle(one, state.logs[one], now, grace) is not None]
        waiting = set(unripe)
        ripe = [one for one in sets if one not in why], [one for one in logs if one not in waiting]
        more, locked_sets, locked_logs = _delete_each(home, system, ripe, grace)
        freed += more
        sets_left |= why | locked_sets
        if left := [*unripe, *locked_logs]:
            logs_left[system] = left
    return Settled(bytes_freed=freed, sets_left=sets_left, logs_left=logs_left)


def _is_marked(value: Value | None) -> bool:
    return value is not None and not value["is_deleted"] and value["tombstone"] is not None


def _obstacle(what: str, value: Value, now: datetime, grace: timedelta) -> str | None:
    try:
        _refuse_one(what, value, now, grace)
    except StillLocked as error:
        return error.message
    return None


def _unripe(state: VaultState, sets: Sequence[str], now: datetime, grace: timedelta) -> dict[str, str]:
    """Sets that stay, and why: also those on which one stands that stays."""
    found = {one: why for one in sets if (why := _obstacle(one, state.sets[one], now, grace)) is not None}
    going = set(sets) - set(found)
    while True:
        needed = {
            parent: one["record"]["id"]
            for one in state.sets.values()
            if (parent := one["record"]["parent_id"]) in going and not one["is_deleted"] and one["record"]["id"] not in going
        }
        if not needed:
            return found
        found |= {parent: f"{parent} is needed by {child}, which stands on it" for parent, child in needed.items()}
        going -= set(needed)


def _delete_each(
    home: VaultHome, system: str, ripe: tuple[list[str], list[str]], grace: timedelta
) -> tuple[int, dict[str, str], list[str]]:
    """Delete; where the place itself refuses one by its own lock, the others go all the same."""
    if not any(ripe):
        return 0, {}, []
    try:
        return delete(home, {system: ripe}, grace), {}, []
    except StillLocked:
        freed, sets_left, logs_left = 0, dict[str, str](), list[str]()
    for one in ripe[0]:  # increments before what they stand on: the caller ordered them so
        try:
            freed += delete(home, {system: ([one], [])}, grace)
        except StillLocked as error:
            sets_left[one] = error.message
    for one in ripe[1]:
        try:
            freed += delete(home, {system: ([], [one])}, grace)
        except StillLocked:
            logs_left.append(one)
    return freed, sets_left, logs_left
