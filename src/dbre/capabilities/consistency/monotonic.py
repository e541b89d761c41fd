"""A value that only grows: nobody who saw it once may see less of it later."""

from collections.abc import Sequence
from typing import ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.values import unknown_act, whole

__all__ = ["Monotonic"]

_SUMMARIES = {
    "nonmonotonic": "a client saw less than it had seen before",
    "nonmonotonic-realtime": "a read that began later saw less than one that had ended",
}


class Monotonic:
    """``inc`` or ``write`` makes it larger, ``read`` gives it; what an ``inc`` gives counts as read, too."""

    models: ClassVar[Sequence[str]] = ("monotonic-reads", "linearizable")

    def __init__(self) -> None:
        self._reads: list[tuple[int, int, int, int]] = []  # began, ended, process, value

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("inc", "write", "read"):
            raise unknown_act(call, "inc", "write", "read")
        if call.type is OpType.OK and call.ended is not None and call.value is not None:
            value = whole(call.value, call, "the value")
            if call.f != "write":
                self._reads.append((call.began, call.ended, call.process, value))

    def judge(self, asked: Question, /) -> Outcome:
        """Within each process, and between processes by real time."""
        found = Found()
        latest: dict[int, tuple[int, int]] = {}
        highest: tuple[int, int] | None = None
        by_end, ended_before = sorted(self._reads, key=lambda read: read[1]), 0
        for began, _, process, value in sorted(self._reads):
            before = latest.get(process)
            if before is not None and value < before[0]:
                found.add("nonmonotonic", [before[1], began], *_proof(before, began, value, f"the same process {process}"))
            latest[process] = value, began
            while ended_before < len(by_end) and by_end[ended_before][1] < began:
                read = by_end[ended_before]
                if highest is None or read[3] > highest[0]:
                    highest = read[3], read[0]
                ended_before += 1
            if highest is not None and value < highest[0]:
                found.add("nonmonotonic-realtime", [highest[1], began], *_proof(highest, began, value, "later"))
        return Outcome(
            anomalies=found.anomalies(lambda name: name == "nonmonotonic" or asked.model == "linearizable", _SUMMARIES),
            unknown=[] if self._reads else ["nothing was read"],
            facts={"reads": len(self._reads)},
        )


def _proof(before: tuple[int, int], began: int, value: int, who: str) -> tuple[str, str]:
    return f"op {before[1]} read {before[0]}", f"op {began}, {who}, read {value}"
