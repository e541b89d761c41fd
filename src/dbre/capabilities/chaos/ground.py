"""What experiments stand on; the composition root builds it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.chaos.clients import ClientsLook
from dbre.capabilities.chaos.rules_documents import ChaosRule, rule_for
from dbre.capabilities.chaos.suite.documents import SuiteDocument
from dbre.capabilities.chaos.surroundings import Burn, Surroundings
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["Burn", "ChaosGround", "SloLook"]

SloLook = Callable[[str, str], Awaitable[Burn]]
"""Reads an SLO (by name) on a cluster (by name). Raises: UsageError for unknown names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosGround:
    """What experiments stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    directory: Path  # of the state files of faults, 0700; the same for every process of this machine
    program: tuple[str, ...]  # starts an injector
    slo: SloLook | None = None  # None: nothing can be watched here
    store: Store | None = None  # None: plans can be made, and nothing is kept
    surroundings: Surroundings | None = None  # None: nothing is known of budgets, incidents, backups
    clients: ClientsLook | None = None  # None: no clients can be started here
    rules: tuple[ChaosRule, ...] = ()
    suites: tuple[SuiteDocument, ...] = ()
    kept: frozenset[str] = frozenset()  # clusters whose servers something else runs, such as Patroni: it starts the killed

    def rule_of(self, cluster: Cluster) -> ChaosRule:
        """What has to be so on a cluster before an experiment begins there."""
        return rule_for(self.rules, dict(cluster.labels))
