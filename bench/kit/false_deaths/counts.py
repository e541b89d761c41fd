"""What was taken for what it is not, and how often anybody looked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbre.capabilities.ha.detection.weighing import Weighing

DEATH = ("dead_primary", "dead_primary_and_some_replicas", "dead_primary_without_replicas", "dual_primary")
FALSE = ("ha.dual_primary", "ha.foreign_system", "ha.cloned_identity", "ha.same_server_twice", "ha.writable_replica")
"""Findings that are wrong whatever is slow; what cannot be reached is rightly told as such."""
_SHOWN = 20


@dataclass(slots=True)
class Looks:
    """The reports of the observers during one kind of suffering, looked at twice a second."""

    all: int = 0
    heard: int = 0  # with fresh reports of a majority, which could have decided
    hearing: int = 0  # with a majority that has an answer of the primary in its last round

    def as_document(self) -> dict[str, Any]:
        """For the result."""
        return {"looks": self.all, "heard": self.heard, "hearing": self.hearing}


@dataclass(slots=True)
class Statuses:
    """What ``dbre ha status`` answered."""

    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # of those that told nothing

    @property
    def answered(self) -> int:
        """Those that told findings, or that there are none."""
        return self.codes["0"] + self.codes["3"]

    def as_document(self) -> dict[str, Any]:
        """For the result."""
        ranked = sorted(self.seconds)
        return {
            "answered": self.answered,
            "codes": dict(self.codes),
            "median_s": round(ranked[len(ranked) // 2], 1) if ranked else None,
            "longest_s": round(ranked[-1], 1) if ranked else None,
            "complaints": self.complaints[:_SHOWN],
        }


@dataclass(slots=True)
class Counts:
    """Of one cluster."""

    verdicts: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)
    failovers: int = 0
    refused: int = 0
    fences: int = 0
    restarts: int = 0
    unanswered: int = 0  # looks at events and operations that got no answer in time; the next one sees what they missed
    statuses: Statuses = field(default_factory=Statuses)
    looks: dict[str, Looks] = field(default_factory=dict)  # by what the cluster suffered then

    def take_event(self, event: dict[str, Any]) -> None:
        """Count what an event of the control plane tells."""
        data = event["data"]
        if event["kind"] == "ha.failover_refused":
            self.refused += 1
            self.deaths.append(f"{event['at']} refused: {data.get('why')}")
        for verdict in data.get("verdicts", ()):
            self.verdicts[verdict] += 1
            if verdict in DEATH:
                self.deaths.append(f"{event['at']} {verdict}: {data['observers']} {data['notes']}")

    def take_weighing(self, weighed: Weighing, observers: Sequence[str], *, turn: str, at: str) -> None:
        """Count one look at the reports."""
        looks = self.looks.setdefault(turn, Looks())
        looks.all += 1
        looks.heard += 2 * len(weighed.reports) > len(observers)
        looks.hearing += 2 * sum(one.contact.is_alive for one in weighed.reports.values()) > len(observers)
        if set(DEATH) & {one.value for one in weighed.judgement.verdicts}:
            self.deaths.append(f"{at} heard: {weighed.contacts} {weighed.notes}")

    def take_status(self, items: list[dict[str, Any]]) -> None:
        """Count the findings of one answer."""
        for rule in _findings(items):
            self.findings[rule] += 1

    @property
    def false_findings(self) -> dict[str, int]:
        """Those that are wrong whatever is slow."""
        return {rule: number for rule, number in self.findings.items() if rule in FALSE}

    @property
    def wrong(self) -> int:
        """Everything that has to be 0."""
        told = len(self.deaths) + self.failovers + self.refused + self.fences + self.restarts
        return told + sum(self.false_findings.values())

    def as_document(self) -> dict[str, Any]:
        """For the result."""
        return {
            "dead": len(self.deaths),
            "failovers": self.failovers,
            "refused": self.refused,
            "fences": self.fences,
            "restarts": self.restarts,
            "false_findings": self.false_findings,
            "verdicts": dict(self.verdicts),
            "findings": dict(self.findings),
            "statuses": self.statuses.as_document(),
            "unanswered": self.unanswered,
            "looks": sum(one.all for one in self.looks.values()),
            "heard": sum(one.heard for one in self.looks.values()),
            "by_turn": {turn: one.as_document() for turn, one in self.looks.items()},
            "deaths": self.deaths[:_SHOWN],
        }


def _findings(items: list[dict[str, Any]]) -> Iterator[str]:
    for one in items:
        for found in one.get("findings", ()):
            yield str(found["rule"])
