"""Anomalies that are collected while a history is looked at: all counted, one of each kept with its proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbre.capabilities.consistency.report import Anomaly

__all__ = ["Example", "Found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One case: its proof, and the places of its calls in the history."""

    proof: Sequence[str]
    ops: Sequence[int]


class Found:
    """Counts by name, and the example of each that names the fewest calls."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, Example] = {}

    def add(self, name: str, ops: Sequence[int], *proof: str, times: int = 1) -> None:
        """One more case of an anomaly, or several that are alike and need one proof."""
        self.counts[name] = self.counts.get(name, 0) + times
        kept = self.examples.get(name)
        if kept is None or len(ops) < len(kept.ops):
            self.examples[name] = Example(proof=proof, ops=tuple(ops))

    def anomalies(self, is_violation: Callable[[str], bool], summaries: dict[str, str]) -> list[Anomaly]:
        """What was found, in the order of ``summaries``, which says of each in words what it is."""
        return [
            Anomaly(
                name=name,
                count=self.counts[name],
                is_violation=is_violation(name),
                summary=summary,
                proof=self.examples[name].proof,
                ops=self.examples[name].ops,
            )
            for name, summary in summaries.items()
            if name in self.counts
        ]
