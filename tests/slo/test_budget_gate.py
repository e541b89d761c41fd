"""The gate ``error-budget``, on real SLO data: what a short budget, a burn, a page and lost telemetry do to changes."""

import asyncio
import time
from fractions import Fraction
from types import SimpleNamespace

import pytest
from slo_kit import FLEET, World, definition
from sqlalchemy import insert

from dbre.capabilities.slo.budget_documents import ERROR_BUDGET_POLICIES, BudgetPolicyDocument, budget_policies
from dbre.capabilities.slo.budget_gate import BudgetGate
from dbre.capabilities.slo.budget_policy import watching
from dbre.capabilities.slo.recent_statuses import RecentStatuses, live_statuses, stored_statuses
from dbre.core.config import ConfigInvalid, load
from dbre.core.gates.approval import approvals_wanted
from dbre.core.gates.asking import Gates, question_for
from dbre.core.gates.model import GateDecision, GateVerdict, Moment
from dbre.core.ids import uuid7
from dbre.core.operation import tables
from dbre.core.operation.plan import Plan, PlannedOperation, Risk, canonical
from dbre.ports.probe import Outcome

GOOD, BAD = Outcome.GOOD, Outcome.BAD
ALLOW, HOLD, REFUSE = GateVerdict.ALLOW, GateVerdict.HOLD, GateVerdict.REFUSE


def policies(*given: dict) -> tuple:
    return budget_policies(tuple(BudgetPolicyDocument.model_validate({"name": f"p{i}", **one}) for i, one in enumerate(given)))


DEFAULT = budget_policies(ERROR_BUDGET_POLICIES.default())


class Setting:
    """A world with the gate asked in all ways; they must agree."""

    def __init__(self, store, chosen=DEFAULT, *, interval: float = 10.0, **changes) -> None:
        definitions = watching((definition(**changes),), chosen)
        self.world = World(store, definitions=definitions, interval=interval)
        self.chosen = chosen
        self.store = store
        self.following = self.stored()  # of a worker that lives long: it reads once, and follows

    def stored(self) -> RecentStatuses:
        return stored_statuses(self.store, self.world.definitions, FLEET, self.world.clock)

    def gates(self) -> dict[str, Gates]:
        clock = self.world.clock
        ways = {"live": live_statuses(self.world.engine, clock), "stored": self.stored(), "following": self.following}
        return {name: Gates([BudgetGate(self.chosen, one, self.store)], clock) for name, one in ways.items()}

    async def ask(self, kind: str = "settings.apply", *, moment=Moment.START, operation_id=None, **plan) -> GateDecision:
        given = {"target": "cluster/orders", "summary": "", "steps": (), "risk": Risk.MODERATE} | plan
        planned = PlannedOperation(kind=kind, definition_version=1, input={}, plan=Plan(**given))
        asked = question_for(
            planned, FLEET, requested_by="alice", at=self.world.clock.now(), moment=moment, operation_id=operation_id
        )
        found = {name: (await gates.ask(asked))[0] for name, gates in self.gates().items()}
        assert found["live"] == found["stored"] == found["following"]
        canonical(dict(found["live"].evidence))
        return found["live"]


async def test_by_default_healthy_budgets_allow_everything(store):
    here = Setting(store)
    await here.world.probe(GOOD, times=3)
    decision = await here.ask()
    assert (decision.verdict, decision.reason) == (ALLOW, "no policy objects: 1 SLO on orders looked at")
    (numbers,) = decision.evidence["slos"]
    assert (numbers["remaining_exact"], numbers["total"], numbers["alerts"]) == ("1", 3, [])


async def test_by_default_a_page_holds_changes_also_those_under_way(store):
    here = Setting(store)
    await here.world.probe(GOOD, times=3)
    await here.world.probe(BAD, times=8)
    for moment in Moment:
        decision = await here.ask(moment=moment)
        assert decision.verdict is HOLD
        assert "settings.apply on cluster/orders waits: alert page-1h of orders-writes@orders fires since" in decision.reason
        assert decision.reason.endswith("(policy outage)")
    assert (await here.ask(risk=Risk.MILD)).verdict is ALLOW
    for tag in ("rollback", "restore", "failover", "remedy", "security"):
        assert (await here.ask(tags=(tag,))).verdict is ALLOW


async def test_by_default_a_spent_budget_stops_new_changes_only(store):
    here = Setting(store, days=1, target="0.999")  # 8.64 probes may fail in a day
    await here.world.probe(BAD, times=9)
    await here.world.probe(GOOD, times=360, tick=False)  # an hour later the page is over
    await here.world.probe(GOOD, times=60)
    decision = await here.ask()
    assert decision.verdict is HOLD
    assert decision.reason.startswith(
        "settings.apply on cluster/orders waits: -4.17 % of the error budget of orders-writes@orders is left,"
        " the limit is 0.00 %"
    )
    assert decision.evidence["slos"][0]["remaining_exact"] == str(1 - Fraction(9) / Fraction("8.64"))
    assert (await here.ask(moment=Moment.BOUNDARY)).verdict is ALLOW


async def test_limits_are_exact_and_inclusive(store):
    ten = {"when": [{"budget_at_most": "90%"}], "then": "refuse"}
    here = Setting(store, policies(ten), days=1, target="0.99")  # 86.4 may fail; one of them is 1.157 %
    await here.world.probe(BAD, times=8)
    assert (await here.ask()).verdict is ALLOW  # 90.74 %
    await here.world.probe(BAD)
    assert (await here.ask()).verdict is REFUSE  # 89.58 %
    exact = policies({"when": [{"budget_at_most": "0.5"}], "then": "hold"})
    edge = SimpleNamespace(budget=SimpleNamespace(remaining_ratio=Fraction(1, 2)), id="a@b")
    (condition,) = exact[0].when
    assert condition.met(edge)
    edge.budget.remaining_ratio += Fraction(1, 10**30)
    assert condition.met(edge) is None


async def test_a_burn_rate_counts_over_a_window_that_no_alert_looks_at(store):
    burning = {"when": [{"burn_at_least": "5", "over": "17m"}], "then": "hold"}
    here = Setting(store, policies(burning), target="0.99")
    await here.world.probe(GOOD, times=96)
    await here.world.probe(BAD, times=5)
    assert (await here.ask()).verdict is ALLOW  # 5 of 102 slots: 4.9 times
    await here.world.probe(BAD)
    decision = await here.ask()
    assert decision.verdict is HOLD
    assert "burns 5.9 times as fast as it may over 17m, the limit is 5" in decision.reason
    assert decision.evidence["slos"][0]["burn_rates"][0]["burn_rate_exact"] == str(Fraction(6, 102) * 100)


async def test_policies_choose_kinds_labels_slos_and_what_comes_first_ends_the_look(store):
    here = Setting(
        store,
        policies(
            {"kinds": ["incident.*"], "then": "allow"},
            {"slos": ["reads*"], "when": [{"budget_at_most": "100%"}], "then": "refuse"},
            {"selector": {"environment": "test"}, "when": [{"budget_at_most": "100%"}], "then": "refuse"},
            {"kinds": ["chaos.*"], "when": [{"budget_at_most": "100%"}], "then": "refuse"},
            {"slos": ["*-writes"], "when": [{"budget_at_most": "100%"}], "then": "hold"},
        ),
    )
    await here.world.probe(GOOD)
    assert (await here.ask("incident.fix")).verdict is ALLOW
    chaos = await here.ask("chaos.kill")
    assert chaos.verdict is REFUSE
    assert [one["then"] for one in chaos.evidence["findings"]] == ["refuse", "hold"]
    assert (await here.ask("schema.migrate")).evidence["findings"][0]["policy"] == "p4"
    assert (await here.ask(target="host/orders")).verdict is ALLOW


async def test_an_approval_is_wanted_and_given(store):
    here = Setting(store, policies({"when": [{"budget_at_most": "100%"}], "then": "require_approval"}))
    await here.world.probe(GOOD)
    operation_id = uuid7(here.world.clock)
    decision = await here.ask(operation_id=operation_id)
    assert (decision.verdict, approvals_wanted([decision])) == (HOLD, 1)
    assert "needs an approval: 100.00 % of the error budget" in decision.reason
    now = here.world.clock.now()
    row = {"id": operation_id, "kind": "settings.apply", "definition_version": 1, "target_key": "cluster/orders"}
    row |= {"plan": "{}", "plan_hash": "a" * 64, "state": "queued", "attempt": 0, "priority": 4, "requested_by": "alice"}
    consents = [
        {"operation_id": operation_id, "approver": name, "plan_hash": plan_hash, "at": now}
        for name, plan_hash in (("alice", "a" * 64), ("carol", "b" * 64))
    ]
    async with store.begin() as connection:
        await connection.execute(insert(tables.operation), [row | {"created_at": now, "tuning": {}}])
        await connection.execute(insert(tables.approval), consents)
    assert (await here.ask(operation_id=operation_id)).verdict is HOLD  # the requester, and another plan
    async with store.begin() as connection:
        await connection.execute(insert(tables.approval), [consents[0] | {"approver": "bob"}])
    decision = await here.ask(operation_id=operation_id)
    assert (decision.verdict, decision.evidence["approved_by"]) == (ALLOW, ["bob"])


@pytest.mark.parametrize(
    ("lost", "tags", "verdict"),
    [
        ("hold", (), HOLD),
        ("refuse", (), REFUSE),
        ("allow", (), ALLOW),
        ("hold", ("rollback",), ALLOW),
        ("refuse", ("failover",), ALLOW),
        ("hold", ("experiment",), HOLD),
    ],
)
async def test_lost_telemetry_stops_what_risks_and_not_what_repairs(store, lost, tags, verdict):
    rule = {"when": [{"budget_at_most": "0%"}], "then": "refuse", "telemetry_lost": lost, "except": []}
    here = Setting(store, policies(rule))
    await here.world.probe(GOOD, times=3)
    assert (await here.ask("chaos.kill", tags=tags)).verdict is ALLOW
    here.world.wait(70)
    await here.world.engine.tick()
    decision = await here.ask("chaos.kill", tags=tags)
    assert decision.verdict is verdict
    if verdict is not ALLOW:
        assert "telemetry of orders-writes@orders is lost, so nobody knows" in decision.reason


async def test_an_slo_that_was_never_measured_spends_nothing(store):
    here = Setting(store)
    await here.world.engine.tick()
    assert (await here.ask()).verdict is ALLOW


async def test_an_engine_that_has_not_loaded_its_history_is_no_healthy_one(sqlite_store):
    here = Setting(sqlite_store)
    gates = here.gates()["live"]
    planned = PlannedOperation(
        kind="x", definition_version=1, input={}, plan=Plan(target="cluster/orders", summary="", steps=())
    )
    (decision,) = await gates.ask(question_for(planned, FLEET, requested_by="alice", at=here.world.clock.now()))
    assert decision.verdict is HOLD
    assert "history of the SLOs is not loaded" in decision.reason


async def test_a_store_that_hangs_holds_changes_and_lets_repairs_go_on(sqlite_store):
    async def hang(cluster: str):
        await asyncio.sleep(60)

    here = Setting(sqlite_store)
    statuses = RecentStatuses(hang, here.world.clock)
    gates = Gates([BudgetGate(policies({"when": [{"alert": "page"}], "then": "hold", "except": []}), statuses, None)],
                  here.world.clock, answer_seconds=0.1)  # fmt: skip
    found = {}
    for tags in ((), ("restore",)):
        plan = Plan(target="cluster/orders", summary="", steps=(), tags=tags)
        planned = PlannedOperation(kind="x", definition_version=1, input={}, plan=plan)
        found[tags] = await gates.ask(question_for(planned, FLEET, requested_by="alice", at=here.world.clock.now()))
    assert [one[0].verdict for one in found.values()] == [HOLD, ALLOW]


async def test_a_hundred_operations_read_the_state_once_a_second(sqlite_store):
    here, reads = Setting(sqlite_store), []

    async def read(cluster: str):
        reads.append(cluster)
        await asyncio.sleep(0.01)
        if len(reads) == 3:
            raise OSError("gone")
        return ()

    statuses = RecentStatuses(read, here.world.clock)
    await asyncio.gather(*(statuses.of("orders") for _ in range(100)))
    here.world.wait(0.99)
    await statuses.of("orders")
    assert reads == ["orders"]
    here.world.wait(0.02)
    await statuses.of("orders")
    here.world.wait(1)
    with pytest.raises(OSError, match="gone"):
        await statuses.of("orders")
    await statuses.of("orders")
    assert len(reads) == 4  # an error is not kept


async def test_two_hundred_slos_cost_less_than_a_gate_may_take(sqlite_store):
    definitions = tuple(definition(f"slo-{index}") for index in range(200))
    world = World(sqlite_store, definitions=definitions)
    await world.probe(GOOD, times=30, tick=False)
    for statuses in (live_statuses(world.engine, world.clock), stored_statuses(sqlite_store, definitions, FLEET, world.clock)):
        gate = BudgetGate(DEFAULT, statuses, None)
        planned = PlannedOperation(
            kind="x", definition_version=1, input={}, plan=Plan(target="cluster/orders", summary="", steps=())
        )
        asked = question_for(planned, FLEET, requested_by="alice", at=world.clock.now())
        await gate.decide(asked)
        began = time.process_time()
        for _ in range(10):
            await gate.decide(asked)
        assert (time.process_time() - began) / 10 < 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{name: a, then: hold}]", "no condition"),
        ("[{name: a, then: hold, when: [{}]}]", "one of budget_at_most"),
        ("[{name: a, then: hold, when: [{budget_at_most: 10%, alert: page}]}]", "one of budget_at_most"),
        ("[{name: a, then: hold, when: [{burn_at_least: 2}]}]", "belong together"),
        ("[{name: a, then: hold, when: [{burn_at_least: 2, over: 7s}]}]", "over"),
        ("[{name: a, then: hold, when: [{alert: pager}]}]", "alert"),
        ("[{name: a, then: explode, when: [{alert: page}]}]", "then"),
        ("[{name: a, then: allow}, {name: a, then: allow}]", "another policy has the name a"),
    ],
)
def test_mistakes_in_policies_are_named(tmp_path, text, said):
    (tmp_path / "dbre.yaml").write_text(f"error_budget_policies: {text}\n")
    with pytest.raises(ConfigInvalid) as invalid:
        load([tmp_path / "dbre.yaml"], sections=[ERROR_BUDGET_POLICIES], environment={}, flags={})
    assert said in " ".join(str(one) for one in invalid.value.problems)
