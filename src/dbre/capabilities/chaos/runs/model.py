"""One experiment that was run, as it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.capabilities.chaos.documents import Experiment

__all__ = ["Run", "RunState", "moment"]


class RunState(StrEnum):
    """How an experiment ended."""

    RUNNING = "running"
    HELD = "held"  # what should hold held
    DEVIATED = "deviated"  # every fault came and went, and something did not hold
    ABORTED = "aborted"  # something was worse than the experiment allows
    STOPPED = "stopped"  # by a person, a gate, the switch: it says nothing about the cluster
    FAILED = "failed"  # a fault did not come about
    INTERRUPTED = "interrupted"  # the process that ran it died: what was measured is lost
    UNREVERTED = "unreverted"  # a fault was not seen to be gone

    @property
    def is_evidence(self) -> bool:
        """Whether it says something about the cluster, good or bad."""
        return self in (RunState.HELD, RunState.DEVIATED, RunState.ABORTED, RunState.UNREVERTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one experiment."""

    id: UUID  # of its operation
    suite_id: UUID | None
    cluster: str
    title: str
    entry: str | None  # which question of the required catalogue it answers
    state: RunState
    began_at: datetime
    ended_at: datetime | None
    experiment: Mapping[str, Any]
    observed: Mapping[str, Any]  # before, faults, during, after, settled_at, reason, revert_seconds, clients
    surroundings: Mapping[str, Any] | None  # SLOs before, during, after; incidents
    is_final: bool

    @property
    def document(self) -> Experiment:
        """The experiment that was run."""
        return Experiment.model_validate(dict(self.experiment))

    @property
    def faults(self) -> Sequence[Mapping[str, Any]]:
        """What was done, each with when it was on and when it was gone."""
        return self.observed.get("faults") or ()

    @property
    def on_at(self) -> datetime | None:
        """When the first fault was on."""
        return min((at for one in self.faults if (at := moment(one.get("on_at"))) is not None), default=None)

    @property
    def off_at(self) -> datetime | None:
        """When the last fault was gone; None: one is not known to be."""
        found = [moment(one.get("off_at")) for one in self.faults]
        return max((at for at in found if at is not None), default=None) if None not in found else None


def moment(text: Any) -> datetime | None:
    """A moment of a document."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None
