"""Identifiers that a database gave out: none twice."""

from collections.abc import Sequence
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.values import frozen, plain, unknown_act

__all__ = ["UniqueIds"]

_SUMMARIES = {"duplicate": "the same identifier was given out more than once"}


class UniqueIds:
    """``generate``; the answer is an identifier."""

    models: ClassVar[Sequence[str]] = ("unique",)

    def __init__(self) -> None:
        self._given: dict[Any, int] = {}
        self._found = Found()

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f != "generate":
            raise unknown_act(call, "generate")
        if call.type is OpType.OK:
            first = self._given.setdefault(frozen(call.value), call.began)
            if first != call.began:
                self._found.add(
                    "duplicate", [first, call.began], f"op {first} and op {call.began} were given {plain(call.value)}"
                )

    def judge(self, _asked: Question, /) -> Outcome:
        """What was found while they streamed by."""
        unknown = [] if self._given else ["nothing was generated"]
        return Outcome(
            anomalies=self._found.anomalies(lambda _: True, _SUMMARIES),
            unknown=unknown,
            facts={"identifiers": len(self._given)},
        )
