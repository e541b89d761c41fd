"""Histories of registers that transactions read and write: who wrote what, and which version must have come first.

Every value is written once, so a read names the write that it saw. The order of versions is known only in part: the initial
state (null) comes first, and what a transaction read comes before what it then wrote to the same key (else that read would be
part of a cycle of information, G1c). More is not assumed, so some anomalies cannot be seen, and none is imagined.
"""

from array import array
from typing import Any

from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.transactions.calls import Calls
from dbre.capabilities.consistency.transactions.micro_ops import Item, micro_ops_of, require_item, shown

__all__ = ["RegisterHistory"]


class RegisterHistory:
    """Columns of writes and reads. A version is numbered; that of the initial state of key k is ``initial[k]``."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.found = Found()
        self.keys: list[Item] = []
        self.initial: list[int] = []
        self.version_key, self.writer, self.is_final = array("q"), array("q"), bytearray()
        self.values: list[Item | None] = []
        self.read_row, self.read_version = array("q"), array("q")  # only reads of what others wrote
        self.before, self.after = array("q"), array("q")  # versions of which one came first
        self.followed: dict[int, list[int]] = {}  # version: who read it and then wrote to its key
        self._key_ids: dict[Item, int] = {}
        self._versions: list[dict[Item, int]] = []

    def add(self, call: Call) -> None:
        """Take in one transaction. Raises: HistoryInvalid where it is none, or a value was written twice."""
        micro_ops = micro_ops_of(call, write="w")
        row, is_ok = self.calls.add(call), call.type is OpType.OK
        now: dict[int, int] = {}  # by key: the version that this transaction last read or wrote
        own: dict[int, int] = {}  # by key: the version that it last wrote
        for act, key, value in micro_ops:
            key_id = self._key_ids.get(key) if type(key) is int or type(key) is str else None
            if key_id is None:
                key_id = self._new_key(key, call)
            if act == "w":
                version = self._write(row, key_id, value, call)
                if key_id in own:
                    self.is_final[own[key_id]] = 0
                before = now.get(key_id)
                if before is not None and (is_ok or key_id in own):
                    self.before.append(before)
                    self.after.append(version)
                    if key_id not in own:
                        self.followed.setdefault(before, []).append(row)
                now[key_id] = own[key_id] = version
            elif is_ok:
                version = self._version(key_id, value, call)
                if key_id in now and version != now[key_id]:
                    self._differs(row, key_id, now[key_id], version, is_own=key_id in own)
                if own.get(key_id) != version:
                    self.read_row.append(row)
                    self.read_version.append(version)
                now[key_id] = version

    def _new_key(self, key: Any, call: Call) -> int:
        require_item(key, call)
        self._key_ids[key] = len(self.keys)
        self.keys.append(key)
        self._versions.append({})
        self.initial.append(self._new_version(len(self.keys) - 1, None))
        return len(self.keys) - 1

    def _new_version(self, key: int, value: Item | None) -> int:
        self.version_key.append(key)
        self.writer.append(-1)
        self.is_final.append(1)
        self.values.append(value)
        return len(self.values) - 1

    def _version(self, key: int, value: Any, call: Call) -> int:
        if value is None:
            return self.initial[key]
        known = self._versions[key].get(value) if type(value) is int or type(value) is str else None
        if known is None:
            require_item(value, call)
            known = self._versions[key][value] = self._new_version(key, value)
        return known

    def _write(self, row: int, key: int, value: Any, call: Call) -> int:
        if value is None:
            raise HistoryInvalid(f"op {call.began}: null is written", hint="null is what nobody has written to yet")
        version = self._version(key, value, call)
        if self.writer[version] >= 0:
            raise HistoryInvalid(
                f"op {call.began}: {shown(value)} is written to {shown(self.keys[key])} once more, "
                f"after op {self.calls.began[self.writer[version]]}",
                hint="each value is written to a key at most once; else nobody can tell whose a read saw",
            )
        self.writer[version] = row
        return version

    def _differs(self, row: int, key: int, before: int, version: int, *, is_own: bool) -> None:
        did = "wrote" if self.writer[before] == row else "read"
        self.found.add(
            "internal" if is_own else "unrepeatable-read",
            [self.calls.began[row]],
            f"{self.calls.name(row)} {did} {shown(self.values[before])} as {shown(self.keys[key])}",
            f"and then read it as {shown(self.values[version])}, though it wrote nothing else in between",
        )
