"""List-append histories taken in: who appended what, and how much of each list every read saw.

A list that is only appended to shows its whole past: each read must be a prefix of the longest one, so that a read is kept
as its length alone. Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", 4.2.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from functools import cached_property
from typing import Any

from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.transactions.calls import Calls
from dbre.capabilities.consistency.transactions.micro_ops import Item, micro_ops_of, require_item, shown

__all__ = ["AppendHistory", "listed"]

_SHOWN_ELEMENTS = 12
_Touched = tuple[list[Item] | None, list[Item], bool]  # seen by the last read, appended since, whether ever appended


class AppendHistory:
    """Columns of appends and reads, and what single transactions show to be wrong by themselves."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.found = Found()
        self.keys: list[Item] = []
        self.longest: list[list[Item]] = []  # by key: the longest read
        self.appended: list[dict[Item, int]] = []  # by key: the row of ``append_*`` that holds an element
        self.append_row, self.append_key = array("q"), array("q")
        self.read_row, self.read_key, self.read_length = array("q"), array("q"), array("q")
        self.updates: dict[tuple[int, int], list[int]] = {}  # key, length read before appending: who
        self.strays: list[tuple[int, int, list[Item]]] = []  # row, key, elements of reads that fit to no other
        self._key_ids: dict[Item, int] = {}

    def add(self, call: Call) -> None:
        """Take in one transaction. Raises: HistoryInvalid where it is none, or an element was appended twice."""
        micro_ops = micro_ops_of(call, write="append")
        row, is_ok = self.calls.add(call), call.type is OpType.OK
        touched: dict[int, _Touched] = {}
        ids = self._key_ids
        for act, key, value in micro_ops:
            key_id = ids.get(key) if type(key) is int or type(key) is str else None
            if key_id is None:
                key_id = self._new_key(key, call)
            if act == "append":
                self._append(row, key_id, value, call)
                seen = touched.get(key_id)
                if seen is None:
                    touched[key_id] = None, [value], True
                    continue
                if is_ok and seen[0] is not None:
                    self._append_after_read(row, key_id, value, seen)
                touched[key_id] = seen[0], [*seen[1], value], True
            elif is_ok:
                seen_list = self._read(row, key_id, value, call)
                before = touched.get(key_id)
                if before is not None:
                    self._compare(row, key_id, before, seen_list)
                touched[key_id] = seen_list, [], before is not None and before[2]

    def _new_key(self, key: Any, call: Call) -> int:
        require_item(key, call)
        self._key_ids[key] = len(self.keys)
        self.keys.append(key)
        self.longest.append([])
        self.appended.append({})
        return len(self.keys) - 1

    def _append(self, row: int, key: int, value: Any, call: Call) -> None:
        require_item(value, call)
        if value in self.appended[key]:
            first = self.append_row[self.appended[key][value]]
            raise HistoryInvalid(
                f"op {call.began}: {shown(value)} is appended to {shown(self.keys[key])} once more, "
                f"after op {self.calls.began[first]}",
                hint="each element is appended to a key at most once; else nobody can tell whose a read saw",
            )
        self.appended[key][value] = len(self.append_row)
        self.append_row.append(row)
        self.append_key.append(key)

    def _read(self, row: int, key: int, value: Any, call: Call) -> list[Item]:
        if value is None:
            value = []
        elif type(value) is not list:
            raise HistoryInvalid(
                f"op {call.began}: a read of {shown(self.keys[key])} gave {shown(value)}", hint="a read gives a list, or null"
            )
        elements: list[Item] = value
        longest, length = self.longest[key], len(elements)
        if length > len(longest):
            for one in elements[len(longest) :]:
                require_item(one, call)
            fits = elements[: len(longest)] == longest
            if fits:
                self.longest[key] = elements
        else:
            fits = longest[:length] == elements
        if not fits:
            self._incompatible(row, key, elements, call)
            return elements
        self.read_row.append(row)
        self.read_key.append(key)
        self.read_length.append(length)
        return elements

    def _incompatible(self, row: int, key: int, value: list[Item], call: Call) -> None:
        for one in value:
            require_item(one, call)
        self._add(
            "incompatible-order",
            [row],
            f"{self.calls.name(row)} read {shown(self.keys[key])} as {listed(value)}",
            f"another transaction read it as {listed(self.longest[key])}",
            "neither is the beginning of the other: there is no order in which these elements were appended",
        )
        self.strays.append((row, key, value))

    def readers(self, key: int, place: int) -> tuple[int, int]:
        """Who first read the element at a place of a key, and how many did; once the history is complete."""
        rows, longest, lengths = self._reads_by_key[key]
        return rows[bisect_right(longest, place)], len(lengths) - bisect_right(lengths, place)

    @cached_property
    def _reads_by_key(self) -> dict[int, tuple[list[int], list[int], list[int]]]:
        """By key: who read it, the longest that was read up to each of them, and all lengths in order."""
        found: dict[int, tuple[list[int], list[int], list[int]]] = {}
        for row, key, length in zip(self.read_row, self.read_key, self.read_length, strict=True):
            rows, longest, lengths = found.setdefault(key, ([], [], []))
            rows.append(row)
            longest.append(max(length, longest[-1] if longest else 0))
            lengths.append(length)
        for _, _, lengths in found.values():
            lengths.sort()
        return found

    def repeated(self, row: int, key: int, value: list[Item]) -> None:
        """A read that saw an element more than once."""
        ((twice, times),) = Counter(value).most_common(1)
        self._add(
            "duplicate-elements",
            [row],
            f"{self.calls.name(row)} read {shown(self.keys[key])} as {listed(value)}",
            f"{shown(twice)} was appended once and is in it {times} times",
        )

    def _append_after_read(self, row: int, key: int, value: Any, seen: _Touched) -> None:
        before, _, has_appended = seen
        if before is None:
            return
        if value in before:
            self._add(
                "future-read",
                [row],
                f"{self.calls.name(row)} read {shown(self.keys[key])} as {listed(before)}",
                f"and only then appended {shown(value)} to it",
            )
        if not has_appended:
            self.updates.setdefault((key, len(before)), []).append(row)

    def _compare(self, row: int, key: int, before: _Touched, value: list[Item]) -> None:
        """What a transaction reads again must be what it read before, with its own appends at the end."""
        seen, own, _ = before
        name, shown_key = self.calls.name(row), shown(self.keys[key])
        if own and [one for one in value if one in own] != own:
            self._add(
                "internal",
                [row],
                f"{name} appended {listed(own)} to {shown_key}",
                f"and then read it as {listed(value)}, without that",
            )
        elif value[len(value) - len(own) :] != own or (seen is not None and value[: len(value) - len(own)] != seen):
            did = f"appended {listed(own)} to {shown_key}" if seen is None else f"read {shown_key} as {listed(seen)}"
            self._add(
                "unrepeatable-read",
                [row],
                f"{name} {did}",
                f"and then read it as {listed(value)}: others had appended, or something was gone",
            )

    def _add(self, name: str, rows: list[int], *proof: str) -> None:
        self.found.add(name, [self.calls.began[row] for row in rows], *proof)


def listed(elements: list[Item]) -> str:
    """A list in a sentence; of a long one the end."""
    if len(elements) <= _SHOWN_ELEMENTS:
        return "[" + " ".join(map(shown, elements)) + "]"
    return f"[… {' '.join(map(shown, elements[-_SHOWN_ELEMENTS:]))}] ({len(elements)} elements)"
