"""A counter that is added to: what a read gives lies between what was certainly and what was possibly added by then."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.values import unknown_act, whole

__all__ = ["Counter"]


class Counter:
    """``add`` of a whole number, below zero too, and ``read``; it begins at 0."""

    models: ClassVar[Sequence[str]] = ("bounds",)

    def __init__(self) -> None:
        self._adds: list[tuple[int, int | None, int]] = []  # began, ended where certain, amount
        self._reads: list[tuple[int, int, int]] = []

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("add", "read"):
            raise unknown_act(call, "add", "read")
        if call.f == "add" and call.type is not OpType.FAIL:
            ended = call.ended if call.type is OpType.OK else None
            self._adds.append((call.began, ended, whole(call.value, call, "what is added")))
        elif call.f == "read" and call.type is OpType.OK and call.ended is not None:
            self._reads.append((call.began, call.ended, whole(call.value, call, "what a read gave")))

    def judge(self, _asked: Question, /) -> Outcome:
        """Every read against its bounds."""
        found = Found()
        done = [(ended, amount) for _, ended, amount in self._adds if ended is not None]
        begun = [(began, amount) for began, _, amount in self._adds]
        certain = _sum_before(done, lambda amount: amount)
        certain_low, possible_low = (
            _sum_before(done, lambda amount: min(amount, 0)),
            _sum_before(begun, lambda amount: min(amount, 0)),
        )
        certain_high, possible_high = (
            _sum_before(done, lambda amount: max(amount, 0)),
            _sum_before(begun, lambda amount: max(amount, 0)),
        )
        for began, ended, value in self._reads:
            lower = certain(began) + possible_low(ended) - certain_low(began)
            upper = certain(began) + possible_high(ended) - certain_high(began)
            if not lower <= value <= upper:
                found.add(
                    "out-of-bounds",
                    [began],
                    f"op {began} read {value}",
                    f"what had certainly and what had possibly been added makes at least {lower} and at most {upper}",
                )
        unknown = [] if self._reads else ["nothing was read"]
        summaries = {"out-of-bounds": "a read gave less than was certainly added, or more than was ever tried"}
        return Outcome(anomalies=found.anomalies(lambda _: True, summaries), unknown=unknown, facts={"reads": len(self._reads)})


def _sum_before(events: list[tuple[int, int]], part: Callable[[int], int]) -> Callable[[int], int]:
    """The sum of the parts of amounts at places before a given one."""
    ordered = sorted(events)
    places = [place for place, _ in ordered]
    sums = [0, *accumulate(part(amount) for _, amount in ordered)]
    return lambda place: sums[bisect_left(places, place)]
