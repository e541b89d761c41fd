"""What has to be so before anything is broken: each rule by itself, and on real servers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from resilience_kit import Installation, freeze

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.preflight.checks import checks_of, require
from dbre.capabilities.chaos.preflight.model import Check, Facts, Places
from dbre.capabilities.chaos.rules_documents import DEFAULT_RULE, ChaosRule, rule_for
from dbre.capabilities.chaos.surroundings import BackupWord, Burn, HealthWord, IncidentWord
from dbre.capabilities.chaos.switching.switch import Switch
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address, Cluster, Instance, TlsMode

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday
GOOD = Facts(
    now=NOW,
    answers={"a": "primary", "b": "replica", "c": "replica"},
    switch=Switch(),
    health=HealthWord(primaries=("a",), replicating=("b", "c"), troubles=()),
    backups=BackupWord(has_policy=True, newest_at=NOW - timedelta(hours=1), proven_at=NOW - timedelta(days=1), failed=None),
    incidents=(),
    burns={"writes": Burn(rate=0.0, is_paging=False, remaining=0.8)},
)
CLUSTER = Cluster(
    name="orders",
    environment="prod",
    engine="redis",
    instances=tuple(Instance(name=name, cluster="orders", address=Address("127.0.0.1", 1)) for name in "abc"),
    endpoints=(),
    databases=(),
    user="dbre",
    password=None,
    tls=TlsMode.DISABLE,
    tls_ca_file=None,
)


def checked(facts: Facts, rule: ChaosRule = DEFAULT_RULE, **more: Any) -> dict[str, Check]:
    return {one.name: one for one in checks_of(Experiment.model_validate(freeze(1, **more)), CLUSTER, rule, facts)}


def test_when_all_is_well_everything_holds() -> None:
    found = checked(GOOD)
    assert {one.holds for one in found.values()} == {True}
    assert set(found) >= {"switch", "rule", "quorum", "health", "budget writes", "incidents", "backup", "proven restore"}


TWO_FROZEN = [{"fault": "freeze", "instance": name, "for": "1s"} for name in "ab"]
EXHAUST = [{"fault": "pool-exhaustion", "instance": "a", "parameters": {"leave": 0}}]


@pytest.mark.parametrize(
    ("wrong", "facts", "rule", "more"),
    [
        ("switch", {"switch": Switch(is_closed=True, by="eve", reason="enough", at=NOW)}, {}, {}),
        ("rule", {}, {"allowed": False}, {}),
        ("environment", {}, {}, {"blast": {"environments": ["test"]}}),
        ("window", {}, {}, {"blast": {"window": {"days": ["mon"], "from": "09:00", "until": "17:00"}}}),
        ("protected", {}, {"protected": ["b"]}, {}),
        ("protected", {}, {}, {"blast": {"protected": ["b"]}}),
        ("quorum", {}, {}, {"faults": TWO_FROZEN}),
        ("quorum", {"answers": {"a": "primary", "b": "replica", "c": None}}, {}, {}),
        ("quorum", {}, {"min_healthy": 3}, {}),
        ("leftovers", {"leftovers": ["freeze on c is on"]}, {}, {}),
        ("health", {"health": HealthWord(primaries=(), replicating=(), troubles=("no primary",))}, {}, {}),
        ("budget writes", {"burns": {"writes": Burn(rate=0.0, is_paging=False, remaining=0.05)}}, {}, {}),
        ("budget writes", {}, {"min_budget": "90 %"}, {}),
        ("incidents", {"incidents": [IncidentWord(name="INC-1", title="x", severity="sev2", started_at=NOW)]}, {}, {}),
        ("backup", {}, {"backup_age": "30m"}, {}),
        ("proven restore", {}, {"proof_age": "1h"}, {}),
        ("operations", {"operations": ["backup.take 1 is running"]}, {}, {}),
        ("connections a", {"places": {"a": Places(used=10, most=100)}}, {"connections": "50 %"}, {"faults": EXHAUST}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_not_as_it_has_to_be(wrong: str, facts: dict[str, Any], rule: dict[str, Any], more: dict[str, Any]) -> None:
    found = checked(replace(GOOD, **facts), ChaosRule.model_validate({"name": "r", **rule}), **more)
    assert [name for name, one in found.items() if one.holds is False] == [wrong]
    assert found[wrong].remedy
    with pytest.raises(PrecheckFailed, match=wrong):
        require(list(found.values()))


def test_what_nobody_can_tell_is_said_and_refuses_nothing() -> None:
    unknown = Facts(now=NOW, answers=GOOD.answers, unknown={"budgets": "the store is locked"})
    found = checked(unknown)
    assert found["budget"].holds is None
    assert found["budget"].seen == "the store is locked"
    require(list(found.values()))


def test_backups_count_where_a_policy_or_a_rule_wants_them() -> None:
    none = replace(GOOD, backups=BackupWord(has_policy=False, newest_at=None, proven_at=None, failed=None))
    assert "backup" not in checked(none)
    assert checked(none, ChaosRule(name="r", backup_needed=True))["backup"].holds is False
    failed = BackupWord(has_policy=True, newest_at=NOW, proven_at=NOW, failed="it did not start")
    assert checked(replace(GOOD, backups=failed))["proven restore"].holds is False


def test_the_first_rule_that_selects_a_cluster_counts() -> None:
    rules = (
        ChaosRule(name="prod", selector={"environment": "prod"}, allowed=False),
        ChaosRule(name="all"),
    )
    assert rule_for(rules, {"environment": "prod"}).name == "prod"
    assert rule_for(rules, {"environment": "test"}).name == "all"
    assert rule_for((), {"environment": "test"}) is DEFAULT_RULE


async def test_a_protected_replica_is_refused_while_the_plan_is_made(installation: Installation) -> None:
    installation.write(rules=[{"name": "orders", "protected": ["b"]}])
    with pytest.raises(PrecheckFailed, match="protected: b would be touched"):
        await installation.run("chaos.run", freeze(1))
