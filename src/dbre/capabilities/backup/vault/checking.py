"""Is everything that the index names there, and what it was? It blocks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.contents import Contents, Stowed
from dbre.capabilities.backup.vault.errors import IndexBroken, ObjectDamaged, ObjectMissing, WrongIdentity
from dbre.capabilities.backup.vault.flow import Flow
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.state import Value, VaultState
from dbre.capabilities.backup.vault.storage import ObjectFacts
from dbre.ports.backup.model import CopyFault

__all__ = ["Bound", "damaged_logs", "entries_beyond", "find_faults", "live_objects", "objects_of_set"]


@dataclass(frozen=True, slots=True)
class Bound:
    """An object and what it must say of itself."""

    stowed: Stowed
    binding: dict[str, object]


def live_objects(vault_id: str, system_id: str, state: VaultState) -> Iterator[Bound]:
    """Every object that the index promises: not those with a tombstone, whose deletion may have begun."""
    for set_id, one in state.sets.items():
        if not one["is_deleted"] and not one["tombstone"]:
            yield from objects_of_set(vault_id, system_id, set_id, one)
    for name, one in state.logs.items():
        if not one["is_deleted"] and not one["tombstone"]:
            binding = {"vault": vault_id, "system": system_id, "log": name, "timeline": one["file"]["timeline"]}
            yield Bound(Stowed.of(one["object"]), binding)


def objects_of_set(vault_id: str, system_id: str, set_id: str, one: Value) -> Iterator[Bound]:
    """Its parts and its manifest."""
    common: dict[str, object] = {"vault": vault_id, "system": system_id, "set": set_id}
    for number, part in enumerate(one["parts"]):
        yield Bound(Stowed.of(part), {**common, "part": number})
    if one["manifest"] is not None:
        yield Bound(Stowed.of(one["manifest"]), {**common, "part": "manifest"})


def find_faults(home: VaultHome, contents: Contents, flow: Flow, *, deep: bool, can_read: bool) -> list[CopyFault]:
    """Compare the vault with its index; ``deep`` reads every byte, and decrypts it where this machine can."""
    faults: list[CopyFault] = []
    try:
        systems = home.systems()
    except IndexBroken as error:
        return [CopyFault(rule="index", subject=keys.VAULT, detail=error.message)]
    for system_id in systems:
        try:
            state = home.reread(system_id) if deep else home.state_of(system_id)
        except (IndexBroken, ObjectMissing) as error:
            faults.append(CopyFault(rule="index", subject=system_id, detail=error.message))
            continue
        faults += entries_beyond(home, system_id, state)
        there = {one.key: one for one in home.storage.walk(keys.system_folder(system_id))}
        for bound in live_objects(home.vault_id, system_id, state) if state.number else ():
            fault = _look(bound.stowed, there.get(bound.stowed.key))
            if fault is None and deep:
                fault = _read(bound, contents, flow, can_read=can_read)
            if fault is not None:
                faults.append(fault)
        faults += damaged_logs(state)
    return faults


def damaged_logs(state: VaultState) -> Iterator[CopyFault]:
    """Log files that lie here as they came, and came damaged: whoever read their records noted it."""
    for name, one in state.logs.items():
        if not one["is_deleted"] and not one["tombstone"] and one.get("damage") is not None:
            yield CopyFault(
                rule="damaged_log", subject=name, detail=f"nothing is recovered across it: {one['damage']['reason']}"
            )


def entries_beyond(home: VaultHome, system_id: str, state: VaultState) -> Iterator[CopyFault]:
    """An entry behind a hole is never reached by who reads from the first on: the index was cut in two."""
    for one in home.storage.walk(f"{keys.system_folder(system_id)}{keys.INDEX}"):
        number = keys.entry_number(one.key)
        if number is None or number > state.number + 1:  # one more may have been appended meanwhile
            detail = f"the index ends at entry {state.number}: what is between is missing"
            yield CopyFault(rule="index", subject=one.key, detail=detail)
        elif one.is_hidden:
            yield CopyFault(rule="hidden_object", subject=one.key, detail="a delete marker or a later version lies over it")


def _look(stowed: Stowed, found: ObjectFacts | None) -> CopyFault | None:
    if found is None:
        return CopyFault(rule="missing_object", subject=stowed.key, detail=f"the index says {stowed.size} bytes")
    if stowed.version_id is not None and found.version_id != stowed.version_id:
        return CopyFault(rule="exchanged_object", subject=stowed.key, detail="its first version is not the one that was put")
    if found.size != stowed.size:
        detail = f"it has {found.size} bytes, the index says {stowed.size}"
        return CopyFault(rule="object_size", subject=stowed.key, detail=detail)
    if found.is_hidden:
        detail = "a delete marker or a later version lies over it; it is still there"
        return CopyFault(rule="hidden_object", subject=stowed.key, detail=detail)
    return None


def _read(bound: Bound, contents: Contents, flow: Flow, *, can_read: bool) -> CopyFault | None:
    flow.passed(0)
    try:
        if can_read:
            contents.open(bound.stowed, _nothing(flow), binding=bound.binding, flow=flow)
        else:
            with contents.checked(bound.stowed, flow=flow):
                flow.passed(bound.stowed.size)
    except ObjectMissing as error:
        return CopyFault(rule="missing_object", subject=bound.stowed.key, detail=error.message)
    except ObjectDamaged as error:
        return CopyFault(rule="damaged_object", subject=bound.stowed.key, detail=error.message)
    except WrongIdentity as error:
        return CopyFault(rule="wrong_identity", subject=bound.stowed.key, detail=error.message)
    return None


def _nothing(flow: Flow) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        flow.passed(len(data))

    return take
