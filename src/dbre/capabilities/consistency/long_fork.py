"""Long forks: two readers see two writes in opposite orders. Snapshot isolation forbids it; its parallel form does not."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.transactions.micro_ops import Item, micro_ops_of, require_item, shown

__all__ = ["LongFork"]

_SUMMARIES = {"long-fork": "two reads saw two writes in opposite orders"}


class LongFork:
    """Transactions of one write, of a key that is written once, and transactions that read a group of keys."""

    models: ClassVar[Sequence[str]] = ("snapshot-isolation",)

    def __init__(self) -> None:
        self._groups: dict[tuple[Item, ...], dict[int, int]] = {}  # keys of a group: what was seen, as bits: a read that saw it
        self._written: dict[Item, Any] = {}
        self._reads = 0

    def add(self, call: Call) -> None:
        """Take in one transaction."""
        micro_ops = micro_ops_of(call, write="w")
        seen: dict[Item, Any] = {}
        for act, key, value in micro_ops:
            require_item(key, call)
            if act == "r" and call.type is not OpType.OK:
                continue
            if value is not None:
                require_item(value, call)
                if self._written.setdefault(key, value) != value:
                    raise HistoryInvalid(f"op {call.began}: key {shown(key)} has two values", hint="each key is written once")
            if act == "r":
                seen[key] = value
        if not seen:
            return
        self._reads += 1
        group = tuple(sorted(seen, key=lambda key: (isinstance(key, str), key)))
        bits = sum(1 << place for place, key in enumerate(group) if seen[key] is not None)
        self._groups.setdefault(group, {}).setdefault(bits, call.began)

    def judge(self, _asked: Question, /) -> Outcome:
        """In each group, of any two reads one must have seen all that the other saw."""
        found = Found()
        for group, reads in self._groups.items():
            order = sorted(reads, key=lambda bits: (bits.bit_count(), bits))
            for one, other in pairwise(order):
                if one & other != one:
                    first, second = _only(group, one, other), _only(group, other, one)
                    found.add(
                        "long-fork",
                        [reads[one], reads[other]],
                        f"op {reads[one]} saw the write of {shown(first)} and not that of {shown(second)}",
                        f"op {reads[other]} saw the write of {shown(second)} and not that of {shown(first)}",
                    )
        unknown = [] if self._reads else ["nothing was read"]
        facts = {"groups": len(self._groups), "reads": self._reads}
        return Outcome(anomalies=found.anomalies(lambda _: True, _SUMMARIES), unknown=unknown, facts=facts)


def _only(group: Sequence[Item], bits: int, without: int) -> Item:
    return next(key for place, key in enumerate(group) if bits >> place & 1 and not without >> place & 1)
