"""The calls of a history in columns: a million of them take little memory, and numpy reads them as they are."""

from array import array
from dataclasses import dataclass, field

from dbre.capabilities.consistency.history import Call, OpType

__all__ = ["FAILED", "OK", "UNKNOWN", "Calls"]

OK, UNKNOWN, FAILED = 0, 1, 2
_CODES = {OpType.OK: OK, OpType.INFO: UNKNOWN, OpType.FAIL: FAILED}


@dataclass(slots=True, kw_only=True)
class Calls:
    """One row a call; the number of the row is its name."""

    began: "array[int]" = field(default_factory=lambda: array("q"))
    ended: "array[int]" = field(default_factory=lambda: array("q"))  # -1: nobody knows when, or whether
    process: "array[int]" = field(default_factory=lambda: array("q"))
    outcome: "array[int]" = field(default_factory=lambda: array("b"))

    def add(self, call: Call) -> int:
        """Its row. Only an answer that says what happened ends a call."""
        row = len(self.began)
        self.began.append(call.began)
        self.ended.append(call.ended if call.type is OpType.OK and call.ended is not None else -1)
        self.process.append(call.process)
        self.outcome.append(_CODES[call.type])
        return row

    def is_ok(self, row: int) -> bool:
        """Whether it happened for certain."""
        return self.outcome[row] == OK

    def is_failed(self, row: int) -> bool:
        """Whether it certainly did not happen."""
        return self.outcome[row] == FAILED

    def count(self, kind: OpType) -> int:
        """How many ended in this way."""
        return self.outcome.count(_CODES[kind])

    def name(self, row: int) -> str:
        """What proofs call it: T and the place of its call in the history."""
        return f"T{self.began[row]}"
