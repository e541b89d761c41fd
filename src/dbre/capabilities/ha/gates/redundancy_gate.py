"""The gate ``redundancy``: what takes an instance away waits until enough others could take over."""

from dbre.capabilities.ha.gates.asking import ReplicaGate
from dbre.capabilities.ha.gates.policies import RedundancyPolicy
from dbre.capabilities.ha.gates.replicas import healthy_replicas
from dbre.capabilities.ha.sweeps import Sweep
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict
from dbre.core.text import counted

__all__ = ["REDUNDANCY", "RedundancyGate"]

REDUNDANCY = "redundancy"
_INSTANCE = "/instance/"


class RedundancyGate(ReplicaGate[RedundancyPolicy]):
    """Counts replicas that receive the primary's history, without the one that the operation works on."""

    name = REDUNDANCY
    summary = "enough replicas of the target could take over meanwhile"

    def _judge(self, policy: RedundancyPolicy, sweep: Sweep, question: GateQuestion) -> GateDecision:
        healthy = healthy_replicas(sweep.status)
        worked_on = question.planned.plan.target.partition(_INSTANCE)[2].partition("/")[0]
        left = [one for one in healthy if one != worked_on]
        evidence = {"policy": policy.name, "least": policy.least, "healthy": healthy, "left": left}
        what = f"{counted(len(left), 'healthy replica')}{' beside ' + worked_on if worked_on else ''}"
        if len(left) >= policy.least:
            return self._decision(GateVerdict.ALLOW, f"{what}, {policy.least} wanted (policy {policy.name})", evidence)
        names = f" ({', '.join(left)})" if left else ""
        reason = f"{what}{names}, and policy {policy.name} wants {policy.least}: dbre ha status {question.cluster}"
        return self._decision(policy.then, reason, evidence)
