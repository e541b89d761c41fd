"""What interrupted backups left in a vault: objects that no entry of the index names, and parts that never got a name.

Nothing is swept that might still become something: only what is older than a day, of a set folder in which nothing was written
for a day, of no set that is being made. And only by an index that was read from its first entry on: whoever cuts off its end
must not have us delete what it named.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.checking import entries_beyond
from dbre.capabilities.backup.vault.errors import IndexBroken, StillLocked
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.state import VaultState, objects_of
from dbre.capabilities.backup.vault.storage import ObjectFacts
from dbre.core.errors import Denied
from dbre.core.text import printable

__all__ = ["Swept", "sweep"]

_OLD = timedelta(days=1)
_PART = re.compile(r"[0-9a-f]{16}\.part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was deleted, and what was not although nobody names it."""

    objects: int
    bytes: int
    left: tuple[str, ...]  # a sentence for each


def sweep(home: VaultHome, unfinished: Collection[str]) -> Swept:
    """Delete what nobody names. It blocks. Raises: Denied, IndexBroken, Unreachable."""
    if not home.document.can_delete:
        raise Denied(
            f"vault {home.document.name} says can_delete: false", hint="sweep on the machine whose credentials can delete"
        )
    if home.trust == "first use":
        raise Denied(
            f"whose entries count in vault {home.document.name} is not known here", hint="configure vaults.signers first"
        )
    now, left = home.clock.now(), list[str]()
    doomed: list[ObjectFacts] = [*_unnamed_parts(home, now)]
    for system in home.systems():
        if home.memory.recall(system) is None:
            left.append(f"{printable(system, limit=100)}: this machine never saw its index before; verify it first")
            continue
        state = home.reread(system)
        beyond = next(iter(entries_beyond(home, system, state)), None)
        if beyond is not None:
            raise IndexBroken(f"{printable(beyond.subject)}: {beyond.detail}", hint="nothing was swept; dbre vault verify")
        if state.number:
            doomed += _unnamed(home, system, state, unfinished, now, left)
    gone = [one for one in doomed if _deleted(home, one, left)]
    _sweep_here(home, now)
    return Swept(objects=len(gone), bytes=sum(one.size for one in gone), left=tuple(left))


def _unnamed(
    home: VaultHome, system: str, state: VaultState, unfinished: Collection[str], now: datetime, left: list[str]
) -> Iterator[ObjectFacts]:
    named = {
        one["key"]
        for value in (*state.sets.values(), *state.logs.values())
        if not value["is_deleted"]
        for one in objects_of(value)
    }
    folder = keys.system_folder(system)
    by_set: dict[str, list[ObjectFacts]] = {}
    for one in home.storage.walk(f"{folder}sets/"):
        by_set.setdefault(one.key.removeprefix(f"{folder}sets/").partition("/")[0], []).append(one)
    for name, objects in by_set.items():
        loose = [one for one in objects if one.key not in named]
        if not loose:
            continue
        if unquote(name) in unfinished or not all(_is_old(one, now) for one in objects):
            left.append(f"{len(loose)} objects of set {printable(name, limit=80)}: it may still be being made")
            continue
        yield from loose
    yield from (one for one in home.storage.walk(f"{folder}log/") if one.key not in named and _is_old(one, now))


def _unnamed_parts(home: VaultHome, now: datetime) -> Iterator[ObjectFacts]:
    for one in home.storage.walk("staging/"):
        if _PART.fullmatch(one.key.removeprefix("staging/")) and _is_old(one, now):
            yield one


def _is_old(one: ObjectFacts, now: datetime) -> bool:
    return one.modified_at is not None and one.modified_at < now - _OLD


def _deleted(home: VaultHome, one: ObjectFacts, left: list[str]) -> bool:
    try:
        home.storage.delete(one.key, version_id=one.version_id)
    except StillLocked as error:
        left.append(error.message)
        return False
    return True


def _sweep_here(home: VaultHome, now: datetime) -> None:
    """Objects that were being prepared on this machine."""
    folder = home.directory / "staging"
    for path in sorted(folder.glob("*.part")) if folder.is_dir() else ():
        try:
            if datetime.fromtimestamp(path.lstat().st_mtime, UTC) < now - _OLD:
                path.unlink()
        except FileNotFoundError:  # somebody finished with it
            continue
