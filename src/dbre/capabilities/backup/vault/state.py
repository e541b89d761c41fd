"""What an index comes to: its entries one after the other. Plain JSON values, so that a snapshot of it is the same thing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbre.capabilities.backup.vault.entries import Entry

__all__ = ["VaultState", "apply", "objects_of"]

Value = dict[str, Any]


@dataclass(slots=True)
class VaultState:
    """One server's part of a vault after entry ``number``; ``head`` is that entry's SHA-256."""

    number: int = 0
    head: str = ""
    at: str = ""
    snapshot_at: int = 0  # the last entry that names a snapshot
    sets: dict[str, Value] = field(default_factory=dict)
    logs: dict[str, Value] = field(default_factory=dict)
    switches: dict[str, Value] = field(default_factory=dict)

    def as_value(self) -> Value:
        """For a snapshot; log files that were deleted are forgotten in it."""
        logs = {name: one for name, one in self.logs.items() if not one["is_deleted"]}
        return {"sets": self.sets, "logs": logs, "switches": self.switches}


def objects_of(one: Mapping[str, Any]) -> Iterator[Value]:
    """The objects that a set or a log file consists of."""
    yield from one.get("parts", ())
    for name in ("manifest", "object"):
        if one.get(name) is not None:
            yield one[name]


def apply(state: VaultState, entry: Entry) -> None:
    """Let an entry have its effect. Raises: KeyError for what no entry of ours says."""
    data = dict(entry.data)
    if entry.kind == "set":
        state.sets[data["record"]["id"]] = data | {"at": entry.at, "tombstone": None, "is_deleted": False}
    elif entry.kind == "log":
        state.logs[data["file"]["name"]] = data | {"at": entry.at, "tombstone": None, "is_deleted": False}
        _add_switches(state, data)
    elif entry.kind == "switches":
        _add_switches(state, data)
    elif entry.kind == "tombstone":
        for one in _named(state, data):
            one["tombstone"] = one["tombstone"] or {"at": entry.at, "reason": data["reason"]}
    elif entry.kind == "revive":
        for one in _named(state, data):
            one["tombstone"] = None
    elif entry.kind == "delete":
        for one in _named(state, data):
            one["is_deleted"] = True
    elif entry.kind == "damage":
        _note_damage(state, entry)
    elif entry.kind == "hold":
        state.sets[data["set"]]["record"]["hold"] = data["reason"]
    elif entry.kind == "proven":
        state.sets[data["set"]]["record"]["proven_at"] = data["at"]
    elif entry.kind == "snapshot":
        state.snapshot_at = entry.number
    else:
        raise KeyError(f"kind {entry.kind!r}")
    state.number, state.head, state.at = entry.number, entry.sha256, entry.at


def _note_damage(state: VaultState, entry: Entry) -> None:
    """Other contents may have taken the place of those that the entry names."""
    found = state.logs.get(entry.data["log"])
    if found is not None and found["file"]["sha256"] == entry.data["sha256"]:
        found["damage"] = {"at": entry.at, "reason": entry.data["reason"]}


def _add_switches(state: VaultState, data: Mapping[str, Any]) -> None:
    for one in data.get("switches", ()):
        state.switches[str(one["timeline"])] = one


def _named(state: VaultState, data: Mapping[str, Any]) -> list[Value]:
    """What an entry names; a log file that was deleted before may have been forgotten by a snapshot."""
    return [state.sets[one] for one in data["sets"]] + [state.logs[one] for one in data["logs"] if one in state.logs]
