"""Four eyes: consents to exactly the stored plan, by others than whoever asked, each counted once."""

import pytest
from gate_kit import FLEET, approve, number, planned, put, question

from dbre.core.gates.approval import DEFAULT_POLICY, NEEDED, ApprovalGate, ApprovalPolicy, approvals_wanted
from dbre.core.gates.asking import Gates
from dbre.core.gates.document import ApprovalDocument, GatesDocument, approval_policies
from dbre.core.gates.model import GateVerdict, Moment
from dbre.core.operation.plan import Risk
from dbre.testing.clock import FakeClock

TWO = ApprovalPolicy(name="two", count=2)


async def decide(store, *policies, plan=None, **more):
    asked = question(plan, operation_id=number(1), **more)
    return await ApprovalGate(store, policies or (TWO,)).decide(asked)


async def test_it_holds_until_enough_others_consented_to_this_plan(store):
    await put(store, 1)
    decision = await decide(store)
    assert (decision.verdict, decision.evidence[NEEDED]) == (GateVerdict.HOLD, 2)
    assert decision.reason == "settings.apply on cluster/orders has 0 of 2 approvals by others than alice (policy two)"
    await approve(store, 1, "bob", "alice", "Alice")  # the requester does not count, however it is written
    decision = await decide(store)
    assert (decision.verdict, decision.evidence["approved_by"]) == (GateVerdict.HOLD, ["bob"])
    await approve(store, 1, "carol")
    decision = await decide(store, moment=Moment.INSIDE)
    assert (decision.verdict, decision.reason) == (GateVerdict.ALLOW, "approved by bob, carol; policy two wants 2")


async def test_one_person_counts_once_however_the_name_is_written(store):
    await put(store, 1)
    await approve(store, 1, "bob", "Bob", "BOB")
    assert (await decide(store)).verdict is GateVerdict.HOLD


async def test_consent_to_another_plan_is_void(store):
    await put(store, 1)
    await approve(store, 1, "bob", "carol", plan_hash=planned(target="cluster/trial").hash)
    assert (await decide(store)).evidence["approved_by"] == []


async def test_only_named_people_count_where_the_policy_names_them(store):
    await put(store, 1)
    await approve(store, 1, "bob", "carol")
    named = ApprovalPolicy(name="lead", approvers=("dba-*", "dave"))
    assert (await decide(store, named)).verdict is GateVerdict.HOLD
    assert "1 approval of dba-* or dave" in (await decide(store, named)).reason
    await approve(store, 1, "dba-eve")
    assert (await decide(store, named)).verdict is GateVerdict.ALLOW
    assert (await decide(store, named, ApprovalPolicy(name="four", count=4))).verdict is GateVerdict.HOLD


async def test_a_child_has_the_consents_of_its_ancestors(store):
    await put(store, 1, planned("move.all"))
    await put(store, 2, parent_id=number(1))
    await approve(store, 1, "bob", "carol", plan_hash=planned("move.all").hash)
    asked = question(operation_id=number(2), parent_ids=(number(1),))
    assert (await ApprovalGate(store, (TWO,)).decide(asked)).verdict is GateVerdict.ALLOW
    alone = question(operation_id=number(2))
    assert (await ApprovalGate(store, (TWO,)).decide(alone)).verdict is GateVerdict.HOLD


async def test_who_is_asked_about_is_a_matter_of_kind_risk_label_and_tag(store):
    gate = ApprovalGate(store, approval_policies(_document(), has_identities=False))
    needed = {
        "apply": gate.approvals_needed(planned(), FLEET.cluster("orders").labels),
        "trial": gate.approvals_needed(planned(), FLEET.cluster("trial").labels),
        "mild": gate.approvals_needed(planned(risk=Risk.MILD), FLEET.cluster("orders").labels),
        "drop": gate.approvals_needed(planned("table.drop", risk=Risk.MILD), FLEET.cluster("trial").labels),
        "rollback": gate.approvals_needed(planned(tags=("rollback",)), FLEET.cluster("orders").labels),
    }
    assert needed == {"apply": 1, "trial": 0, "mild": 0, "drop": 3, "rollback": 0}


def _document() -> GatesDocument:
    return GatesDocument(
        approvals=(
            ApprovalDocument.model_validate({"name": "prod", "selector": {"environment": "prod"}, "except": ["rollback"]}),
            ApprovalDocument.model_validate({"name": "drops", "kinds": ["*.drop"], "count": 3}),
        )
    )


def test_without_configuration_severe_acts_need_one_where_there_are_identities():
    assert approval_policies(GatesDocument(), has_identities=False) == ()
    assert approval_policies(GatesDocument(), has_identities=True) == (DEFAULT_POLICY,)
    assert approval_policies(GatesDocument(approvals=()), has_identities=True) == ()
    gate = ApprovalGate(None, (DEFAULT_POLICY,))
    assert gate.approvals_needed(planned(risk=Risk.SEVERE), {}) == 1
    assert gate.approvals_needed(planned(risk=Risk.SEVERE, tags=("failover",)), {}) == 0
    assert gate.approvals_needed(planned(), {}) == 0


async def test_a_store_that_does_not_answer_holds_what_needs_consent_and_nothing_else(store):
    class Broken:
        def read(self):
            raise OSError("gone")

    gates = Gates([ApprovalGate(Broken(), (DEFAULT_POLICY,))], FakeClock())
    (severe,) = await gates.ask(question(planned(risk=Risk.SEVERE), operation_id=number(1)))
    (moderate,) = await gates.ask(question(operation_id=number(1)))
    assert (severe.verdict, moderate.verdict) == (GateVerdict.HOLD, GateVerdict.ALLOW)


async def test_the_desk_learns_how_many_are_wanted_from_what_the_gates_said(store):
    await put(store, 1)
    gates = Gates([ApprovalGate(store, (TWO,))], FakeClock())
    asked = question(operation_id=number(1))
    assert approvals_wanted(await gates.ask(asked)) == 2
    assert approvals_wanted(await gates.ask(asked, overrides=["approval"])) == 0
    await approve(store, 1, "bob", "carol")
    assert approvals_wanted(await gates.ask(asked)) == 0


@pytest.mark.parametrize("name", ["x' OR '1'='1", "b\x1b[2Job", "%", "ünïcode"])
async def test_hostile_names_are_only_names(store, name):
    await put(store, 1)
    await approve(store, 1, name)
    decision = await decide(store, ApprovalPolicy(name="one"))
    assert decision.verdict is GateVerdict.ALLOW
    assert "\x1b" not in decision.reason
