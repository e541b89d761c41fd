"""The checks of ``dbre fleet check``: what ``dbre ha status`` finds wrong, and what ``dbre ha drill check`` does."""

from collections.abc import Sequence
from typing import Protocol

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.disaster.standing import disaster_check
from dbre.capabilities.ha.drills.standing import drill_check
from dbre.capabilities.ha.sweeps import sweep
from dbre.core.checks import Check, Finding
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["ha_check", "ha_checks"]

_TOLD_ALREADY = ("ha.unreachable", "ha.not_asked")
"""Who does not answer is the affair of the check ``contact``."""


class _Look(Protocol):
    @property
    def cluster(self) -> Cluster:
        """What is looked at."""
        ...


def ha_checks(
    engines: EngineRegistry, fleet: Fleet, clock: Clock, settings: HaDocument, store: Store | None
) -> tuple[Check, ...]:
    """Of the servers now, of the failovers that were drilled on them, and of plans for the loss of a site."""
    return (
        ha_check(engines, fleet, clock, settings),
        drill_check(store, settings, clock),
        disaster_check(store, settings, clock),
    )


def ha_check(engines: EngineRegistry, fleet: Fleet, clock: Clock, settings: HaDocument) -> Check:
    """One sweep of the cluster, and what Patroni or Sentinels say where they choose its primary."""

    async def run(look: _Look) -> Sequence[Finding]:
        found = await sweep(engines, fleet, look.cluster, clock, settings)
        return [one for one in found.status.findings if one.rule not in _TOLD_ALREADY]

    return Check(id="ha", title="who follows whom is as it should be, by the servers and by who chooses the primary", run=run)
