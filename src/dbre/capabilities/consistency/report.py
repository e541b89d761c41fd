"""What a checker says of a history."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Anomaly", "Budget", "Limits", "Report", "Verdict", "verdict_of"]


class Verdict(StrEnum):
    """Three answers: who ran out of time has not shown that all is well."""

    OK = "ok"
    ANOMALY = "anomaly"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One kind of thing that should not be, how often, and the proof of the shortest example of it."""

    name: str
    count: int
    is_violation: bool  # of the model that was asked for; else it is only worth knowing
    summary: str
    proof: Sequence[str] = ()  # a sentence a line, in order
    ops: Sequence[int] = ()  # places in the history of the calls that the proof names


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict, and why.

    ``unknown`` says what was not looked at and why; it makes a verdict without a violation UNKNOWN. ``excluded`` are models
    that the history is shown not to keep, the weakest of each kind.
    """

    workload: str
    model: str
    verdict: Verdict
    calls: int
    ok_calls: int
    unknown_calls: int
    failed_calls: int
    anomalies: Sequence[Anomaly] = ()
    unknown: Sequence[str] = ()
    excluded: Sequence[str] = ()
    facts: dict[str, int] = field(default_factory=dict)


def verdict_of(anomalies: Sequence[Anomaly], unknown: Sequence[str]) -> Verdict:
    """A violation is one, whatever else was not looked at; without one, all must have been looked at."""
    if any(one.is_violation for one in anomalies):
        return Verdict.ANOMALY
    return Verdict.UNKNOWN if unknown else Verdict.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a check may take; beyond it the verdict is UNKNOWN, or the history is refused before it is judged."""

    seconds: float = 60.0  # of searching, after the history was read
    ops: int = 5_000_000
    edges: int = 40_000_000  # of a graph of transactions: about 20 bytes each
    configurations: int = 500_000  # that a register can be in at one moment


class Budget:
    """Time that is left for searching."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seconds = seconds
        self._until = monotonic() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._monotonic() >= self._until

    @property
    def seconds(self) -> float:
        """What was given, for messages."""
        return self._seconds
