"""The gate ``replica-lag``: what makes replicas lag waits while they do."""

from dbre.capabilities.ha.gates.asking import ReplicaGate
from dbre.capabilities.ha.gates.policies import LagPolicy
from dbre.capabilities.ha.gates.replicas import lagging_replicas
from dbre.capabilities.ha.sweeps import Sweep
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict

__all__ = ["REPLICA_LAG", "ReplicaLagGate"]

REPLICA_LAG = "replica-lag"


class ReplicaLagGate(ReplicaGate[LagPolicy]):
    """Looks how far the replicas of the target's cluster are behind; one that cannot be asked is too far."""

    name = REPLICA_LAG
    summary = "the replicas of the target are not far behind"

    def _judge(self, policy: LagPolicy, sweep: Sweep, question: GateQuestion) -> GateDecision:  # noqa: ARG002 - one is as another
        late = lagging_replicas(sweep.status, policy)
        evidence = {"policy": policy.name, "max_bytes": policy.max_bytes, "lagging": late} | {
            "max_age_seconds": policy.max_age.total_seconds() if policy.max_age is not None else None
        }
        if not late:
            return self._decision(GateVerdict.ALLOW, f"no replica is too far behind (policy {policy.name})", evidence)
        said = ", ".join(f"{name}: {why}" for name, why in late.items())
        return self._decision(policy.then, f"replicas lag (policy {policy.name}): {said}", evidence)
