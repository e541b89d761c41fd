"""What ``pg_waldump`` says of rows, in the words of versions 15 to 18, put together by transaction.

Only committed transactions count. Changes are taken in at the commit: who changes a row after another one has waited for it.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["Commit", "LostLog", "Place", "Relation"]

_LINE = re.compile(r"^rmgr: (\S+)\s+len .*? tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev [0-9A-F/]+, desc: (.*)$")
_BLOCK = re.compile(r"rel (\d+)/(\d+)/(\d+) (?:fork (\w+) )?blk (\d+)")
_COMMIT = re.compile(r"^COMMIT(?:_PREPARED (\d+):)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) ")
_SUBTRANSACTIONS = re.compile(r"subxacts: ([\d ]+)")
_INSERTED = re.compile(r"^INSERT(?:\+INIT)? off:? (\d+)")
_MANY_INSERTED = re.compile(r"^MULTI_INSERT.* offsets: \[([\d, ]*)\]")  # version 15 does not name them
_DELETED = re.compile(r"^DELETE (?:xmax: \d+, )?off:? (\d+)")
_UPDATED = re.compile(r"^(?:HOT_)?UPDATE(?:\+INIT)? (?:off|old_xmax: \d+, old_off:) (\d+).*?(?:new off|new_off:) (\d+)")


@dataclass(frozen=True, slots=True)
class Relation:
    """A table by its files: tablespace, database, file number."""

    tablespace: int
    database: int
    number: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version of a row lies."""

    relation: Relation
    block: int
    offset: int

    def __str__(self) -> str:
        return f"({self.block},{self.offset})"


@dataclass(frozen=True, slots=True)
class Commit:
    """When a transaction was committed."""

    transaction: int
    at: datetime
    position: str


@dataclass(slots=True)
class _Act:
    old: Place | None
    new: Place | None


@dataclass(slots=True)
class LostLog:
    """The log after a fork, line by line. Places are those of row versions in the files of the lost history."""

    commits: dict[int, Commit] = field(default_factory=dict)  # by transaction and subtransaction
    transactions: int = 0
    origins: dict[Place, Place] = field(default_factory=dict)  # of a version that was made, the one before the fork
    deleted: dict[Place, Commit] = field(default_factory=dict)  # rows of before the fork
    touched: set[Relation] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)  # what else was lost
    end: str = ""
    first: int | None = None  # the first transaction that is not on both sides
    _open: dict[int, list[_Act]] = field(default_factory=lambda: defaultdict(list))
    _made: set[Place] = field(default_factory=set)
    _relations: dict[int, set[Relation]] = field(default_factory=lambda: defaultdict(set))

    def note(self, line: str) -> None:
        """Take in one line."""
        match = _LINE.match(line)
        if match is None:
            return
        manager, transaction, self.end, text = match[1], int(match[2]), match[3], match[4]
        if manager in ("Heap", "Heap2") and transaction:
            self._row(transaction, text)
        elif manager == "Transaction":
            self._end_of(transaction, text)
        elif manager == "Sequence":
            self.others["sequence"] += 1

    def _row(self, transaction: int, text: str) -> None:
        blocks = [
            (Relation(int(one[0]), int(one[1]), int(one[2])), int(one[4]))
            for one in _BLOCK.findall(text)
            if one[3] in ("", "main")
        ]
        if not blocks:
            return
        relation, block = blocks[0]
        act = _act(text, relation, block, blocks[-1][1])
        if act:
            self._open[transaction] += act
            self._relations[transaction].add(relation)
        elif text.startswith("MULTI_INSERT"):
            self._relations[transaction].add(relation)

    def _end_of(self, transaction: int, text: str) -> None:
        match = _COMMIT.match(text)
        if match is None:
            if text.startswith("PREPARE"):
                self.others["prepared"] += 1
            elif text.startswith("ABORT"):
                self._forget(transaction, text)
            return
        top = int(match[1]) if match[1] else transaction
        at = datetime.strptime(match[2], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        commit = Commit(top, at, self.end)
        self.transactions += 1
        for one in (top, *_subtransactions(text)):
            self.commits[one] = commit
            self.first = one if self.first is None else min(self.first, one)
            self.touched |= self._relations.pop(one, set())
            for act in self._open.pop(one, ()):
                self._take(act, commit)

    def _forget(self, transaction: int, text: str) -> None:
        for one in (transaction, *_subtransactions(text)):
            self._made.update(act.new for act in self._open.pop(one, ()) if act.new is not None)
            self._relations.pop(one, None)

    def _take(self, act: _Act, commit: Commit) -> None:
        """A row that was there before the fork keeps that place as its origin, however often it is changed."""
        origin = None
        if act.old is not None:
            origin = self.origins.pop(act.old, None) if act.old in self._made else act.old
            self._made.discard(act.old)
        if act.new is None:
            if origin is not None:
                self.deleted[origin] = commit
            return
        self._made.add(act.new)
        if origin is not None:
            self.origins[act.new] = origin


def _act(text: str, relation: Relation, block: int, last_block: int) -> list[_Act]:
    """What a record did; an update on two pages names the new one first."""
    if match := _INSERTED.match(text):
        return [_Act(None, Place(relation, block, int(match[1])))]
    if match := _MANY_INSERTED.match(text):
        return [_Act(None, Place(relation, block, int(one))) for one in match[1].split(", ") if one]
    if match := _DELETED.match(text):
        return [_Act(Place(relation, block, int(match[1])), None)]
    if match := _UPDATED.match(text):
        return [_Act(Place(relation, last_block, int(match[1])), Place(relation, block, int(match[2])))]
    return []


def _subtransactions(text: str) -> list[int]:
    match = _SUBTRANSACTIONS.search(text)
    return [int(one) for one in match[1].split()] if match else []
