"""A set that is added to: what was acknowledged, or seen once, is seen by every later read.

An element is known from the end of its add, or of the first read that saw it. A read that began later and lacks it makes it
stale where another read may have seen it afterwards, and lost where none can have. Source: Jepsen's checker ``set-full``,
which takes for lost what a read saw that began before, whenever it ended: that accuses stale reads of losing something.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.values import frozen, item_list, plain, unknown_act

__all__ = ["SetFull"]

_SUMMARIES = {
    "lost": "an element that was acknowledged, or seen, is gone",
    "unexpected": "a read saw an element that nobody tried to add",
    "resurrected": "a read saw an element whose add had certainly failed",
    "duplicate": "a read saw an element more than once",
    "stale": "a read lacked an element that was known before it began, and that is seen later",
}
_NEVER = -1


class SetFull:
    """``add`` of an element that is added once, and ``read`` of all of them."""

    models: ClassVar[Sequence[str]] = ("durable", "linearizable")

    def __init__(self) -> None:
        self._adds: dict[Any, Call] = {}
        self._reads: list[tuple[int, int, list[Any]]] = []  # began, ended, seen

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("add", "read"):
            raise unknown_act(call, "add", "read")
        if call.f == "add":
            item = frozen(call.asked)
            if item in self._adds:
                raise HistoryInvalid(
                    f"op {call.began}: {plain(item)} is added once more, after op {self._adds[item].began}",
                    hint="each element is added at most once; else nobody can tell whose a read saw",
                )
            self._adds[item] = call
        elif call.type is OpType.OK and call.ended is not None:
            self._reads.append((call.began, call.ended, item_list(call.value, call)))

    def judge(self, asked: Question, /) -> Outcome:
        """Every read against what was known when it began."""
        found, unknown = Found(), [] if self._reads else ["nothing was read"]
        present: dict[Any, tuple[int, int]] = {}  # of the last read to end that saw it: its end, its begin
        absent: dict[Any, int] = {}
        for began, ended, items in sorted(self._reads, key=lambda read: read[1]):
            present.update(dict.fromkeys(items, (ended, began)))
        self._reads.sort(key=lambda read: read[0])
        by_time = sorted(self._known_from(), key=lambda pair: pair[0])
        known: set[Any] = set()
        at = 0
        for began, _, items in self._reads:
            if asked.budget.is_spent:
                unknown.append(
                    f"comparing reads took longer than {asked.budget.seconds:g} s; those from op {began} on were not looked at"
                )
                break
            while at < len(by_time) and by_time[at][0] < began:
                known.add(by_time[at][1])
                at += 1
            seen = set(items)
            self._odd(found, began, items, seen)
            absent.update(dict.fromkeys(known - seen, began))
        for item, read_at in absent.items():
            seen_until, seen_at = present.get(item, (_NEVER, None))
            found.add("lost" if seen_until < read_at else "stale", [read_at], *self._proof(item, read_at, seen_at))
        counts = {kind: sum(one.type is kind for one in self._adds.values()) for kind in OpType}
        return Outcome(
            anomalies=found.anomalies(lambda name: name != "stale" or asked.model == "linearizable", _SUMMARIES),
            unknown=unknown,
            facts={
                "reads": len(self._reads),
                "acknowledged": counts[OpType.OK],
                "recovered": sum(one in present for one, call in self._adds.items() if call.type is OpType.INFO),
                "never_read": sum(one not in present for one, call in self._adds.items() if call.type is OpType.OK),
            },
        )

    def _known_from(self) -> list[tuple[int, Any]]:
        first = {item: call.ended for item, call in self._adds.items() if call.type is OpType.OK and call.ended is not None}
        for _, ended, items in self._reads:
            for item in items:
                if ended < first.get(item, ended + 1):
                    first[item] = ended
        return [(place, item) for item, place in first.items()]

    def _odd(self, found: Found, began: int, items: list[Any], seen: set[Any]) -> None:
        if len(seen) != len(items):
            ((twice, times),) = Counter(items).most_common(1)
            found.add("duplicate", [began], f"op {began} read {plain(twice)} {times} times")
        for item in seen:
            call = self._adds.get(item)
            if call is None:
                found.add("unexpected", [began], f"op {began} read {plain(item)}", "nobody tried to add it")
            elif call.type is OpType.FAIL:
                found.add(
                    "resurrected",
                    [call.began, began],
                    f"op {call.began} added {plain(item)}, and failed",
                    f"op {began} read it",
                )

    def _proof(self, item: Any, read_at: int, seen_at: int | None) -> list[str]:
        call = self._adds.get(item)
        is_acknowledged = call is not None and call.type is OpType.OK
        lines = [
            f"{plain(item)} was added by op {call.began} and acknowledged"
            if is_acknowledged and call
            else f"{plain(item)} was read"
        ]
        lines.append(f"op {read_at} began afterwards and did not read it")
        if seen_at is not None:
            lines.append(f"the last read that saw it was op {seen_at}")
        return lines
