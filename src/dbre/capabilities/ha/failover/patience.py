"""How long the sweep before a failover waits for each server: for as long as observers lately waited for it, and more."""

from collections.abc import Sequence

from dbre.capabilities.ha.detection.report import Report
from dbre.capabilities.ha.nodes import NODE_SECONDS

__all__ = ["LEAST_SECONDS", "patience_of"]

LEAST_SECONDS = 1.0
_FACTOR = 3.0  # a sweep logs in, and observers mostly ask over connections that they have


def patience_of(reports: Sequence[Report]) -> dict[str, float]:
    """The limit of each server that any observer had answers of, between 1 s and that of any sweep.

    A machine without CPU, or a lossy network, answers late; who waits for a second there takes living replicas for dead, and
    refuses a failover that is needed. Reports of any age will do: nothing but a limit is made of them.
    """
    slowest: dict[str, float] = {}
    for report in reports:
        for name, word in report.nodes.items():
            if word.answer_seconds is not None:
                slowest[name] = max(slowest.get(name, 0.0), word.answer_seconds)
    return {name: min(NODE_SECONDS, max(LEAST_SECONDS, _FACTOR * seconds)) for name, seconds in slowest.items()}
