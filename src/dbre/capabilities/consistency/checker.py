"""What every checker offers: it takes calls as they stream by, and judges at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from dbre.capabilities.consistency.history import Call
from dbre.capabilities.consistency.report import Anomaly, Budget, Limits

__all__ = ["Checker", "Outcome", "Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a checker, and what it may take."""

    model: str
    limits: Limits
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found, and what was not looked at and why; numbers worth knowing by name."""

    anomalies: Sequence[Anomaly] = ()
    unknown: Sequence[str] = ()
    excluded: Sequence[str] = ()
    facts: dict[str, int] = field(default_factory=dict)


class Checker(Protocol):
    """Of one workload. The first of ``models`` is what is promised unless somebody says otherwise."""

    models: ClassVar[Sequence[str]]

    def add(self, call: Call) -> None:
        """Take in one call. Raises: HistoryInvalid where it is none of this workload."""
        ...

    def judge(self, asked: Question, /) -> Outcome:
        """What is wrong with all of them together."""
        ...
