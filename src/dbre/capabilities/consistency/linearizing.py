"""Registers with compare-and-set: is there a moment for each call, between its begin and its end, that explains all answers?

Each key is judged by itself, which is the same as judging all together (Herlihy and Wing, 1990, theorem 1). The search goes
along the history and keeps every configuration that a register can be in: its value, and which of the calls that are open have
taken effect. A call takes effect only when an answer demands it, and what was tried once is not tried again.
Sources: Wing and Gong (1993); Lowe, "Testing for linearizability" (2017), just-in-time linearization.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.report import Budget
from dbre.capabilities.consistency.values import frozen, plain, unknown_act

__all__ = ["Linearizing"]

_LOOK_AT_CLOCK = 1 << 12
_SHOWN = 8
_SUMMARY = {"nonlinearizable": "no order of the calls on a key explains what they were answered"}
Configuration = tuple[Any, int]
"""The value of a register, and the slots of open calls that have taken effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """What a call does to a register: of a read ``after`` is unused, of a write ``before``."""

    f: str
    before: Any
    after: Any
    call: Call

    def told(self) -> str:
        """In words."""
        what = {"read": f"read {plain(self.before)}", "write": f"write {plain(self.after)}"}.get(
            self.f, f"cas from {plain(self.before)} to {plain(self.after)}"
        )
        return f"{what} of process {self.call.process} (op {self.call.began})"


class _Exhausted(Exception):
    """The search was cut short; the message says by what."""


class Linearizing:
    """``read``, ``write``, ``cas``; a value ``[KEY, VALUE]`` in every call makes a register for each key."""

    models: ClassVar[Sequence[str]] = ("linearizable",)

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("read", "write", "cas"):
            raise unknown_act(call, "read", "write", "cas")
        if call.type is OpType.FAIL or (call.type is OpType.INFO and call.f == "read"):
            return
        self._calls.append(call)

    def judge(self, asked: Question, /) -> Outcome:
        """Key by key; one that could not be searched to its end makes the verdict unknown."""
        found, unknown = Found(), []
        keys = self._by_key()
        for key, acts in keys.items():
            try:
                stuck = _Search(acts, asked.limits.configurations, asked.budget).run()
            except _Exhausted as error:
                unknown.append(f"key {plain(key)}: {error}" if key is not None else str(error))
                continue
            if stuck is not None:
                act, _, pending = stuck
                found.add("nonlinearizable", [act.call.began, *(one.call.began for one in pending)], *_proof(key, *stuck))
        excluded = ["linearizable"] if found.counts else []
        return Outcome(
            anomalies=found.anomalies(lambda _: True, _SUMMARY),
            unknown=unknown,
            excluded=excluded,
            facts={"keys": len(keys)},
        )

    def _by_key(self) -> dict[Any, list[_Act]]:
        keyed = [_is_pair(one.asked) and (one.f != "cas" or _is_pair(one.asked[1])) for one in self._calls]
        is_keyed = bool(keyed) and all(keyed)
        found: dict[Any, list[_Act]] = {}
        for call in self._calls:
            if is_keyed and not _is_pair(call.value):
                raise HistoryInvalid(f"op {call.began}: the answer {plain(call.value)} names no key", hint="write [KEY, VALUE]")
            key, value = (frozen(call.value[0]), call.value[1]) if is_keyed else (None, call.value)
            found.setdefault(key, []).append(_act(call, value))
        return found


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _act(call: Call, value: Any) -> _Act:
    if call.f == "cas":
        if not _is_pair(value):
            raise HistoryInvalid(f"op {call.began}: cas of {plain(value)}", hint="a cas has the value [OLD, NEW]")
        return _Act(f="cas", before=frozen(value[0]), after=frozen(value[1]), call=call)
    return _Act(f=call.f, before=frozen(value), after=frozen(value), call=call)


def _proof(key: Any, act: _Act, before: Sequence[Any], pending: Sequence[_Act]) -> list[str]:
    of_key = f" of key {plain(key)}" if key is not None else ""
    lines = [
        f"the register{of_key} could hold {', '.join(plain(one) for one in before[:_SHOWN])} when this was to be explained:"
    ]
    lines.append(act.told())
    if pending:
        lines.append("open at that moment: " + "; ".join(one.told() for one in pending[:_SHOWN]))
    lines.append("no order of the open calls lets it have that answer")
    return lines


class _Least:
    """Configurations, less those that needed more optional calls for the same: what those lead to, these do, too."""

    def __init__(self, optional: int) -> None:
        self.count = 0
        self._optional = optional
        self._used: dict[tuple[Any, int], list[int]] = {}  # optional calls, by value and by other calls taken

    def add(self, value: Any, taken: int) -> bool:
        """Whether it is new."""
        used = taken & self._optional
        kept = self._used.setdefault((value, taken & ~self._optional), [])
        if any(one & used == one for one in kept):
            return False
        kept.append(used)
        self.count += 1
        return True

    def all(self) -> set[Configuration]:
        """All that were kept."""
        return {(value, taken | used) for (value, taken), kept in self._used.items() for used in kept}


class _Search:
    """Of one register."""

    def __init__(self, acts: Sequence[_Act], most: int, budget: Budget) -> None:
        self._events = sorted(
            [(act.call.began, False, act) for act in acts]
            + [(act.call.ended, True, act) for act in acts if act.call.type is OpType.OK and act.call.ended is not None],
            key=lambda event: event[0],
        )
        self._most, self._budget, self._looked = most, budget, 0
        self._open: dict[int, _Act] = {}  # by slot
        self._free: list[int] = []
        self._optional = 0  # slots of calls whose outcome is unknown: they may never take effect

    def run(self) -> tuple[_Act, list[Any], list[_Act]] | None:
        """The first answer that cannot be explained, the values before it and the other open calls; None: all can.

        Raises: _Exhausted.
        """
        now: set[Configuration] = {(None, 0)}
        slots: dict[int, int] = {}
        for _, is_answer, act in self._events:
            if not is_answer:
                slot = self._free.pop() if self._free else len(self._open)
                self._open[slot] = act
                slots[act.call.began] = slot
                if act.call.type is OpType.INFO:
                    self._optional |= 1 << slot
                continue
            slot = slots.pop(act.call.began)
            following = self._explain(now, slot)
            if not following:
                others = [one for other, one in self._open.items() if other != slot]
                return act, sorted({value for value, _ in now}, key=str), others
            now = following
            del self._open[slot]
            self._free.append(slot)
        return None

    def _explain(self, now: set[Configuration], slot: int) -> set[Configuration]:
        """Every configuration in which the call of a slot has taken effect, just in time."""
        bit, act = 1 << slot, self._open[slot]
        done, known = _Least(self._optional), _Least(self._optional)
        pending: list[tuple[int, int, Configuration]] = []
        for value, taken in now:
            if taken & bit:
                done.add(value, taken & ~bit)
            elif known.add(value, taken):
                pending.append(self._ranked(len(pending), value, taken))
        heapify(pending)
        while pending:
            self._look()
            _, _, (value, taken) = heappop(pending)
            following = _effect(act, value)
            if following is not None:
                done.add(following[0], taken)
                if act.f == "read":
                    continue  # what else could take effect before it can do so after it
            for after, taken_then in self._others(slot, value, taken):
                if known.add(after, taken_then):
                    heappush(pending, self._ranked(known.count, after, taken_then))
            if known.count + done.count > self._most:
                raise _Exhausted(
                    f"more than {self._most:,} configurations at op {act.call.ended}: too many calls are open at once"
                )
        return done.all()

    def _ranked(self, number: int, value: Any, taken: int) -> tuple[int, int, Configuration]:
        """Those first that need the fewest calls of which nobody knows whether they happened."""
        return (taken & self._optional).bit_count(), number, (value, taken)

    def _others(self, slot: int, value: Any, taken: int) -> Iterator[Configuration]:
        """What one more open call makes of a configuration; of optional calls that do the same, one is as good as another."""
        tried: set[tuple[str, Any, Any]] = set()
        for other, one in self._open.items():
            if other == slot or taken >> other & 1:
                continue
            if self._optional >> other & 1:
                if (one.f, one.before, one.after) in tried:
                    continue
                tried.add((one.f, one.before, one.after))
            effect = _effect(one, value)
            if effect is not None:
                yield effect[0], taken | 1 << other

    def _look(self) -> None:
        self._looked += 1
        if self._looked % _LOOK_AT_CLOCK == 0 and self._budget.is_spent:
            raise _Exhausted(f"the search took longer than {self._budget.seconds:g} s")


def _effect(act: _Act, value: Any) -> tuple[Any] | None:
    """The value afterwards, in a tuple because it may be None; None where the answer would not have been given."""
    if act.f == "write":
        return (act.after,)
    if value != act.before:
        return None
    return (value,) if act.f == "read" else (act.after,)
