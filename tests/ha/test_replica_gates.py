"""What wears replicas out waits for them, and says for which; what repairs does not wait."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from ha_kit import at, fleet, follows, primary, replica, silent, topology
from ha_live import Engines
from switchover_kit import controlled

from dbre.capabilities.ha.gates.building import replica_gates
from dbre.capabilities.ha.gates.config_document import REDUNDANCY_POLICIES, LagPolicyDocument, RedundancyPolicyDocument
from dbre.capabilities.ha.gates.lag_gate import ReplicaLagGate
from dbre.capabilities.ha.gates.policies import LagPolicy, RedundancyPolicy
from dbre.capabilities.ha.gates.redundancy_gate import RedundancyGate
from dbre.capabilities.ha.lag import lags_of
from dbre.capabilities.ha.looking import Status
from dbre.capabilities.ha.sweeps import Sweep
from dbre.core.clock import SystemClock
from dbre.core.errors import UsageError
from dbre.core.gates.asking import Gates, question_for
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.gates.scope import Scope
from dbre.core.operation.plan import Plan, PlannedOperation, Risk, Step
from dbre.testing.fixtures import PostgresPair

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BEHIND = replica(3, follows(1), position=at(400))
SHOP = topology(primary(1, feeds=[2, 3, 4]), replica(2, follows(1)), BEHIND, replica(4, follows(1, is_receiving=False)))


def question(target: str = "cluster/shop", **more: Any) -> GateQuestion:
    moment = more.pop("moment", Moment.START)
    given: dict[str, Any] = {"summary": "change", "steps": (Step("change"),), "risk": Risk.MODERATE} | more
    planned = PlannedOperation(kind="schema.migrate", definition_version=1, input={}, plan=Plan(target=target, **given))
    return question_for(planned, fleet(4), requested_by="alice", at=NOW, moment=moment)


async def seen(_: str) -> Sweep:
    views = {one.name: one.view for one in SHOP.nodes if one.view is not None}
    return Sweep(status=Status(topology=SHOP, lags=lags_of(SHOP, views), findings=[], judgement=None), at=NOW)


async def lag(asked: GateQuestion, *policies: LagPolicy) -> GateDecision:
    return await ReplicaLagGate(policies, LagPolicy(name="plan", scope=Scope(), max_bytes=1 << 20), seen).decide(asked)


async def redundancy(asked: GateQuestion, *policies: RedundancyPolicy) -> GateDecision:
    return await RedundancyGate(policies, RedundancyPolicy(name="plan", scope=Scope()), seen).decide(asked)


async def test_a_replica_that_is_too_far_behind_is_named() -> None:
    strict = LagPolicy(name="strict", scope=Scope(), max_bytes=500)
    held = await lag(question(), strict)
    assert held.verdict is GateVerdict.HOLD
    assert held.reason == "replicas lag (policy strict): n3: 600 B behind"
    assert (await lag(question(), LagPolicy(name="lax", scope=Scope(), max_bytes=600))).verdict is GateVerdict.ALLOW
    aged = await lag(question(), LagPolicy(name="aged", scope=Scope(), max_age=timedelta(seconds=1)))
    assert aged.evidence["lagging"] == {"n3": "lacks something of nobody knows what age"}


async def test_a_silent_replica_is_too_far_behind() -> None:
    async def half(_: str) -> Sweep:
        found = topology(primary(1, feeds=[2]), silent(2))
        return Sweep(status=Status(topology=found, lags=[], findings=[], judgement=None), at=NOW)

    gate = ReplicaLagGate([LagPolicy(name="any", scope=Scope(), max_bytes=1)], LagPolicy(name="plan", scope=Scope()), half)
    assert (await gate.decide(question())).reason == "replicas lag (policy any): n2: does not answer, or follows nobody"


async def test_the_instance_that_is_worked_on_does_not_count() -> None:
    two = RedundancyPolicy(name="two", scope=Scope(), least=2, then=GateVerdict.REFUSE)
    whole = await redundancy(question(), two)
    assert (whole.verdict, whole.evidence["healthy"]) == (GateVerdict.ALLOW, ["n2", "n3"])
    part = await redundancy(question("cluster/shop/instance/n2"), two)
    assert part.verdict is GateVerdict.REFUSE
    assert part.reason == "1 healthy replica beside n2 (n3), and policy two wants 2: dbre ha status shop"
    other = await redundancy(question("cluster/shop/instance/n4"), two)
    assert other.verdict is GateVerdict.ALLOW, "it is no healthy replica in any case"


async def test_only_what_a_policy_is_about_or_what_asks_by_name_waits() -> None:
    two = RedundancyPolicy(name="three", scope=Scope(), least=3)
    assert (await redundancy(question())).verdict is GateVerdict.ALLOW
    assert (await redundancy(question(tags=("failover",)), two)).verdict is GateVerdict.ALLOW
    assert (await redundancy(question(moment=Moment.BOUNDARY), two)).verdict is GateVerdict.ALLOW
    running = RedundancyPolicy(name="three", scope=Scope(), least=3, holds_running=True)
    assert (await redundancy(question(moment=Moment.INSIDE), running)).verdict is GateVerdict.HOLD
    assert (await redundancy(question("cluster/shop/instance/n2", gates=("redundancy",)))).verdict is GateVerdict.ALLOW
    assert (await lag(question(gates=("replica-lag",)))).reason == "no replica is too far behind (policy plan)"


def test_a_policy_without_a_limit_or_with_an_unknown_key_is_refused() -> None:
    with pytest.raises((UsageError, ValueError), match="policy idle has no limit"):
        LagPolicyDocument.model_validate({"name": "idle"})
    with pytest.raises(ValueError, match="min_replicas"):
        RedundancyPolicyDocument.model_validate({"name": "none", "min_replicas": 0})


@pytest.fixture
async def frozen(postgres_pair: PostgresPair) -> AsyncIterator[PostgresPair]:
    await postgres_pair.replica.freeze()
    try:
        yield postgres_pair
    finally:
        await postgres_pair.replica.thaw()


async def test_a_server_that_hangs_holds_what_waits_and_never_the_gates(frozen: PostgresPair) -> None:
    live = controlled("postgresql", {"n1": frozen.primary, "n2": frozen.replica})
    policies = (RedundancyPolicyDocument.model_validate({"name": "one"}),)
    config: Any = SimpleNamespace(get=lambda section: policies if section is REDUNDANCY_POLICIES else section.default())
    gates = Gates(replica_gates(config, live, Engines(), SystemClock()), SystemClock())
    for _ in range(60):
        decisions = {one.gate: one for one in await gates.ask(question())}
        assert decisions["replica-lag"].verdict is GateVerdict.ALLOW, "no policy"
        assert decisions["redundancy"].verdict is GateVerdict.HOLD
        if "healthy" in decisions["redundancy"].evidence:  # before, the sweep takes longer than a gate may think
            break
        await asyncio.sleep(1)
    assert decisions["redundancy"].reason.startswith("0 healthy replicas, and policy one wants 1")
