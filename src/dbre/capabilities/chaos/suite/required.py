"""The required catalogue: what has to be tried on every cluster, how much it weighs, and which experiment answers it."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.chaos.documents import Experiment, FaultOrder
from dbre.capabilities.chaos.injection.catalogue import fault_kind

__all__ = ["REQUIRED", "Entry", "entry_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question."""

    name: str
    question: str
    weight: float
    faults: tuple[str, ...]  # any of these asks it
    role: str | None = None  # which role the instance must have had; None: any
    takes_away: bool = False  # whether only a fault counts that leaves its instance answering nobody


REQUIRED: tuple[Entry, ...] = (
    Entry(
        name="leader-failure",
        question="the primary dies, or freezes",
        weight=3.0,
        faults=("crash", "freeze"),
        role="primary",
        takes_away=True,
    ),
    Entry(name="partition", question="the network between the members is cut", weight=2.0, faults=("partition",)),
    Entry(
        name="replica-lag",
        question="a replica falls behind",
        weight=1.0,
        faults=("replica-lag", "replay-pause", "freeze"),
        role="replica",
    ),
    Entry(
        name="pool-exhaustion",
        question="idle sessions take the places for clients",
        weight=1.5,
        faults=("pool-exhaustion",),
    ),
    Entry(name="disk-pressure", question="the disk is nearly full", weight=1.5, faults=("disk-ballast",)),
    Entry(
        name="latency",
        question="answers of the server come late",
        weight=1.0,
        faults=("stutter", "toxic", "delay"),
    ),
)
"""The weights say how much each counts in the score of a cluster."""


def entry_of(experiment: Experiment, roles: Mapping[str, str | None]) -> str | None:
    """Which question an experiment asks, by its faults and the roles of their instances; the first that fits."""
    for entry in REQUIRED:
        for one in experiment.faults:
            fits_role = entry.role is None or roles.get(one.instance) == entry.role
            if one.fault in entry.faults and fits_role and (not entry.takes_away or _takes_away(one)):
                return entry.name
    return None


def _takes_away(one: FaultOrder) -> bool:
    """Whether it is the instance that goes, and not only one of its processes."""
    return fault_kind(one.fault).takes_away(one.parameters)
