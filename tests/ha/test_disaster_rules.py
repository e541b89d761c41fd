"""What a plan for the loss of a site may say, and what the rules make of what was seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import ValidationError

from dbre.capabilities.ha.disaster.acting import DisasterFailed
from dbre.capabilities.ha.disaster.acting import run_child as run_child_of_plan
from dbre.capabilities.ha.disaster.exposure import Exposure
from dbre.capabilities.ha.disaster.findings import plan_findings
from dbre.capabilities.ha.disaster.ground import check_names
from dbre.capabilities.ha.disaster.losing import lost_seconds
from dbre.capabilities.ha.disaster.measures import Action, DisasterRun, problems_of
from dbre.capabilities.ha.disaster.plan_document import DisasterPlan
from dbre.capabilities.ha.disaster.repository import StoredRun
from dbre.capabilities.ha.disaster.rules import checks_of
from dbre.capabilities.ha.disaster.surveying import DisasterSurvey, best_of
from dbre.capabilities.ha.disaster.witness import witness_reason
from dbre.capabilities.ha.failover.fences import Ladder
from dbre.capabilities.ha.model import Topology
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, Cluster, Instance, TlsMode
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import OutcomeUnknown
from dbre.core.operation.states import OperationState
from dbre.ports.succession import Obstacle
from dbre.ports.topology import Contact

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SITES = [{"name": "east", "instances": ["n1", "n3"]}, {"name": "west", "instances": ["n2"]}]
PLAN = {"sites": SITES, "objectives": {"rpo": "5s", "rto": "1m"}}
GOOD = Exposure(replica="n2", is_receiving=True, bytes=0, transactions=None, seconds=0.0)


def plan_of(**more: Any) -> DisasterPlan:
    return DisasterPlan.model_validate({**PLAN, **more})


def cluster_of(environment: str = "test") -> Cluster:
    instances = tuple(Instance(name=name, cluster="shop", address=Address("h", 1)) for name in ("n1", "n2", "n3"))
    return Cluster(
        name="shop",
        environment=environment,
        engine="postgresql",
        instances=instances,
        endpoints=(),
        databases=(),
        user=None,
        password=None,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


def seen(plan: DisasterPlan, *, environment: str = "test", **more: Any) -> DisasterSurvey:
    found = DisasterSurvey(
        cluster=cluster_of(environment),
        plan=plan,
        topology=Topology(cluster="shop", engine="postgresql", nodes=(), edges=(), outsiders=()),
        primary="n1",
        here=plan.home,
        there=plan.sites[1],
        exposures=MappingProxyType({"n2": GOOD}),
        candidate="n2",
        ladders={"n1": Ladder(rungs=(), problems=("control: it is elsewhere",))},
        route_checks={},
        route_problems={},
        rehearsal_records=(),
    )
    return replace(found, **more)


def check(found: DisasterSurvey, rule: str) -> Obstacle:
    return next(one for one in checks_of(found, now=NOW) if one.rule == rule)


def stored(at: datetime, **more: Any) -> StoredRun:
    given = {"action": "rehearse", "site_before": "east", "site_after": "west", "primary_before": "n1", "primary_after": "n2"}
    run = DisasterRun(began_at=at.isoformat(), rpo_seconds=5.0, rto_seconds=60.0, **{**given, **more})
    return StoredRun(operation_id=UUID(int=1), cluster="shop", began_at=at, run=run)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sites": SITES[:1]}, "at least 2 items"),
        ({"sites": [*SITES, {"name": "east"}]}, "the site east is in the plan twice"),
        ({"sites": [SITES[0], {"name": "west", "instances": ["n1"]}]}, "the instance n1 is in the plan twice"),
        ({"sites": [SITES[0], {"name": "third", "observers": ["c"]}]}, "there is nowhere to go"),
        ({"objectives": {"rpo": "5s"}}, "Field required"),
        ({"objectives": {"rpo": "-5s", "rto": "1m"}}, "rpo"),
        ({"people": 0}, "greater than or equal to 1"),
        ({"attestations": True}, "Extra inputs are not permitted"),
        ({"rehearse": {"routes": [{"name": "p", "libpq": {"dsn": "env:DSN"}}]}}, "p is no record of DNS"),
    ],
    ids=["one-site", "site-twice", "instance-twice", "witness-alone", "no-rto", "negative", "nobody", "unknown", "no-record"],
)
def test_what_a_plan_may_not_say(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises((ValidationError, UsageError), match=told):
        plan_of(**wrong)


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        ([SITES[0], {"name": "west", "instances": ["n4"]}], "names n4, which is no instance of shop"),
        ([{"name": "east", "instances": ["n1"]}, SITES[1]], "does not say where n3 is"),
        ([*SITES, {"name": "third", "observers": ["d"]}], "names the observer d, which is none of shop"),
    ],
    ids=["unknown", "missing", "observer"],
)
def test_a_plan_and_the_inventory_name_the_same(sites: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_names(plan_of(sites=sites), cluster_of(), ("a", "b", "c"))


def test_two_sites_promote_nobody_by_themselves_and_a_witness_makes_the_difference() -> None:
    plan = plan_of()
    assert check(seen(plan), "no_automatic_promotion").is_met
    two = check(seen(plan, is_automatic=True), "no_automatic_promotion")
    assert not two.is_met
    assert "cannot tell the loss of the other from a cut line" in two.value
    third = plan_of(sites=[*SITES, {"name": "third", "observers": ["c"]}])
    assert check(seen(third, is_automatic=True), "no_automatic_promotion").value.startswith("c observe from a third site")


def test_the_control_plane_leaves_the_other_site_to_a_person() -> None:
    plan, third = plan_of(), plan_of(sites=[*SITES, {"name": "third", "observers": ["c"]}])
    silent = dict.fromkeys("abc", Contact.TIMEOUT)
    assert witness_reason(plan, "n1", "n3", silent) is None  # the same site
    alone, seen_by_c = witness_reason(plan, "n1", "n2", silent), witness_reason(third, "n1", "n2", silent)
    assert alone is not None
    assert seen_by_c is not None
    assert (alone.is_met, alone.is_blocking, seen_by_c.is_met) == (False, True, True)
    for unsaid in ({}, silent | {"c": Contact.UNKNOWN}, silent | {"c": Contact.ANSWERED}):
        cut_off = witness_reason(third, "n1", "n2", unsaid)  # the witness may be behind the same cut line as n1
        assert cut_off is not None
        assert not cut_off.is_met


def test_what_promoting_now_loses_is_always_told_and_never_guessed() -> None:
    plan = plan_of()
    assert check(seen(plan), "loss_now").value == "promoting n2 now loses at most 0 B, up to 0ms old"
    old = replace(GOOD, bytes=2048, seconds=7.5)
    late = check(seen(plan, exposures={"n2": old}), "loss_now")
    assert (late.value, late.is_met, late.is_blocking) == (
        "promoting n2 now loses at most 2.0 KiB, up to 7.5s old",
        False,
        True,
    )
    unknown = check(seen(plan, exposures={"n2": replace(old, seconds=None)}), "loss_now")
    assert (unknown.is_met, unknown.is_blocking) == (False, False)
    assert "nobody knows how old" in unknown.value
    nothing = replace(GOOD, bytes=None)
    assert check(seen(plan, exposures={"n2": nothing}), "lag").value == "nobody knows how much"
    assert check(seen(plan, exposures={}), "loss_now").value == "nobody at west would take over"
    assert not nothing.is_nothing


def test_who_may_decide_alone_and_what_stands_for_a_fence() -> None:
    assert check(seen(plan_of()), "approval").is_met
    alone = check(seen(plan_of(), environment="production"), "approval")
    assert (alone.is_met, alone.is_blocking) == (False, False)
    assert check(seen(plan_of(), environment="production", has_identities=True), "approval").is_met
    stuck = check(seen(plan_of(people=2), environment="production"), "approval")
    assert (stuck.is_met, stuck.is_blocking) == (False, True)
    assert not check(seen(plan_of()), "fence").is_blocking
    assert check(seen(plan_of(attestation=False)), "fence").is_blocking


def test_the_replica_that_receives_and_lacks_least_takes_over() -> None:
    site = plan_of(sites=[{"name": "east", "instances": ["n1"]}, {"name": "west", "instances": ["n2", "n3"]}]).sites[1]
    behind = replace(GOOD, replica="n2", bytes=10, seconds=1.0)
    assert best_of(site, {"n2": behind, "n3": GOOD}, never=()) == "n3"
    assert best_of(site, {"n2": GOOD, "n3": GOOD}, never=()) == "n2"  # the first by the plan
    assert best_of(site, {"n2": behind, "n3": replace(GOOD, is_receiving=False)}, never=()) == "n2"
    assert best_of(site, {"n2": GOOD, "n3": behind}, never=("n2",)) == "n3"
    assert best_of(site, {"n1": GOOD}, never=()) is None


def test_a_rehearsal_ages_and_a_bad_one_is_told() -> None:
    plan = plan_of(rehearse={"max_age": "30d"})
    (never,) = plan_findings("shop", plan, None, now=NOW)
    assert never.rule == "ha.dr_never_rehearsed"
    assert list(plan_findings("shop", plan, stored(NOW - timedelta(days=29)), now=NOW)) == []
    (old,) = plan_findings("shop", plan, stored(NOW - timedelta(days=31)), now=NOW)
    assert (old.rule, "31d ago" in old.summary) == ("ha.dr_rehearsal_old", True)
    (bad,) = plan_findings("shop", plan, stored(NOW, failed=("n1: no fence",)), now=NOW)
    assert (bad.rule, bad.severity.value) == ("ha.dr_rehearsal_failed", "error")


def test_promises_are_held_against_what_was_measured() -> None:
    run = stored(NOW, action="failover", achieved_rto_seconds=61.0, lost_seconds=6.0).run
    assert problems_of(run) == [
        "nobody could write for 1m 1s, and 1m is promised",
        "what is lost is up to 6.0s old, and 5.0s is promised",
    ]
    unknown = replace(run, achieved_rto_seconds=1.0, lost_seconds=None)
    assert problems_of(unknown) == ["nobody knows how old what is lost is, and 5.0s is promised"]
    assert problems_of(replace(unknown, lost_seconds=0.0)) == []
    assert DisasterRun.of({**run.document(), "of_another_version": 1}) == run
    last = {Action.FAILOVER: replace(stored(NOW), run=run)}
    assert not check(seen(plan_of(), runs=last), "rto").is_met


def test_how_old_is_what_was_lost() -> None:
    confirmed = {"is_zero_promised": False, "began_at": NOW.isoformat(), "unheard_seconds": 20.0}
    arrived = (NOW - timedelta(seconds=23)).isoformat()
    assert lost_seconds(confirmed, {"lost_bytes": 100, "heartbeat_at": arrived}) == 3.0
    assert lost_seconds(confirmed, {"lost_bytes": 100, "heartbeat_at": None}) is None
    assert lost_seconds(confirmed, {"lost_bytes": None, "heartbeat_at": arrived}) == 3.0
    assert lost_seconds(confirmed, {"lost_bytes": 0, "heartbeat_at": None}) == 0.0


@pytest.mark.parametrize(
    ("state", "raised"),
    [(OperationState.NEEDS_OPERATOR, OutcomeUnknown), (OperationState.COMPENSATED, DisasterFailed)],
    ids=["unknown", "taken-back"],
)
async def test_a_part_of_which_nobody_knows_the_end_leaves_the_whole_unknown(
    state: OperationState, raised: type[Exception]
) -> None:
    async def run_child(kind: str, asked: Any) -> Any:
        assert asked == {"cluster": "shop"}
        return SimpleNamespace(id=UUID(int=7), state=state, error={"message": "it was late"})

    context = cast("StepContext", SimpleNamespace(run_child=run_child))
    with pytest.raises(raised, match=r"ha\.rejoin") as told:
        await run_child_of_plan(context, "ha.rejoin", {"cluster": "shop"})
    assert f"dbre op show {UUID(int=7)}" in f"{told.value} {getattr(told.value, 'hint', '')}"
