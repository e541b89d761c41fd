"""The gates over replicas, made of a configuration."""

from datetime import timedelta

from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.gates.config_document import (
    REDUNDANCY_POLICIES,
    REPLICA_LAG_POLICIES,
    lag_policies,
    redundancy_policies,
)
from dbre.capabilities.ha.gates.lag_gate import ReplicaLagGate
from dbre.capabilities.ha.gates.policies import LagPolicy, RedundancyPolicy
from dbre.capabilities.ha.gates.redundancy_gate import RedundancyGate
from dbre.capabilities.ha.shared import Shared
from dbre.capabilities.ha.sweeps import Sweep, sweep
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Fleet
from dbre.core.gates.model import Gate
from dbre.core.gates.scope import Scope
from dbre.ports.engine import EngineRegistry

__all__ = ["replica_gates"]

_FRESH = timedelta(seconds=10)
"""A sweep with a silent node takes longer than a gate may think: it goes on, and the next question finds it."""

_NAMED_LAG = LagPolicy(name="plan", scope=Scope(), max_bytes=64 << 20)
_NAMED_REDUNDANCY = RedundancyPolicy(name="plan", scope=Scope())


def replica_gates(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock) -> tuple[Gate, ...]:
    """``replica-lag`` and ``redundancy``; both look at the same sweeps."""
    sweeps = Shared(lambda one: sweep(engines, fleet, one, clock, config.get(HA)), clock, fresh=_FRESH)

    async def look(cluster: str) -> Sweep:
        return await sweeps.of(fleet.cluster(cluster))

    return (
        ReplicaLagGate(lag_policies(config.get(REPLICA_LAG_POLICIES)), _NAMED_LAG, look),
        RedundancyGate(redundancy_policies(config.get(REDUNDANCY_POLICIES)), _NAMED_REDUNDANCY, look),
    )
