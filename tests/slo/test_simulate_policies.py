"""Policies over a history say what the gate says, minute by minute."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import cluster, definition
from test_simulate_replay import EVENTS, START, runs, series_of

from dbre.app import Application
from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.assessment import assess
from dbre.capabilities.slo.budget_policy import AlertFires, BudgetAtMost, BudgetPolicy, BurnAtLeast, Consequence
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.series import SlotSeries, slot_start
from dbre.capabilities.slo.simulation.policy_replay import PolicyReplay, replay_policies
from dbre.capabilities.slo.simulation.replay import history_of, replay
from dbre.capabilities.slo.window import RollingWindow
from dbre.cli import root
from dbre.core.gates.scope import Scope
from dbre.core.selector import Selector

HALF = BudgetAtMost(remaining=Fraction(1, 2))
FAST = BurnAtLeast(rate=Fraction(5), seconds=300)


def policy(name: str, *when: object, selector: Selector | None = None, **changes: object) -> BudgetPolicy:
    scope = Scope(selector=selector or Selector())
    return replace(BudgetPolicy(name=name, scope=scope, when=when, then=Consequence.HOLD), **changes)  # type: ignore[arg-type]


def replayed(
    policies: Sequence[BudgetPolicy], series: SlotSeries, instance: SloInstance, *, interval_ms: int = 10_000
) -> tuple[PolicyReplay, ...]:
    assert series.end is not None
    run = replay(instance, series, start=START, end=series.end, interval_ms=interval_ms)
    return replay_policies(policies, instance, series, run, interval_ms=interval_ms)


@settings(max_examples=25, deadline=None)
@given(runs, st.sampled_from([0, 10_000]))
def test_budgets_and_burn_rates_are_judged_as_the_gate_judges_them(
    pieces: list[tuple[int, tuple[int, int]]], interval_ms: int
) -> None:
    slo = definition(target="0.9", sli=EVENTS, window=RollingWindow(seconds=1_200), watched_seconds=(300,))
    instance, series = SloInstance(definition=slo, cluster=cluster()), series_of([*pieces, (6, (1, 0))])
    conditions = (HALF, FAST)
    found = replayed([policy("x", one) for one in conditions], series, instance, interval_ms=interval_ms)
    assert series.end is not None
    measured = history_of(instance, series, end=series.end, interval_ms=interval_ms)
    for slot in range(START + 5, series.end - 6, 6):
        status = assess(measured, slot_start(slot) + timedelta(seconds=9))
        known = slot_start(slot + 1)
        for condition, one in zip(conditions, found, strict=True):
            stopped = any(span.since <= known < span.until for span in one.spans)
            assert stopped is (condition.met(status) is not None), (condition, known)


def outage() -> SlotSeries:
    """A good hour, ten minutes without a good answer, and three good hours."""
    return series_of([(360, (1, 0)), (60, (0, 1)), (1_080, (1, 0))])


def test_a_page_stops_changes_while_it_fires_and_a_ticket_condition_means_both() -> None:
    instance = SloInstance(definition=definition(), cluster=cluster())
    page, ticket = replayed(
        [policy("page", AlertFires(severity=Severity.PAGE)), policy("ticket", AlertFires(severity=Severity.TICKET))],
        outage(),
        instance,
    )
    (span,) = page.spans
    assert slot_start(START + 360) < span.since < slot_start(START + 420) < span.until
    assert ticket.spans[0].since == span.since
    assert ticket.seconds >= page.seconds == span.seconds > 300


def test_conditions_of_one_policy_are_one_time_and_each_policy_has_its_own() -> None:
    slo = definition(target="0.9", window=RollingWindow(seconds=3_600))
    instance = SloInstance(definition=slo, cluster=cluster())
    spent, both, never = replayed(
        [
            policy("spent", HALF),
            policy("both", HALF, BurnAtLeast(rate=Fraction(2), seconds=300)),
            policy("never", BudgetAtMost(remaining=Fraction(-100))),
        ],
        outage(),
        instance,
    )
    (span,) = spent.spans  # of 36 bad answers that an hour may have, 18 are half
    assert span.since == slot_start(START + 378)
    assert span.until == slot_start(START + 768)  # when 43 of the 60 are an hour old, and that minute is over
    (whole,) = both.spans
    assert whole.since < span.since
    assert whole.until == span.until
    assert (never.spans, never.seconds) == ((), 0)


def test_only_policies_that_look_at_the_slo_and_its_cluster_are_told() -> None:
    instance = SloInstance(definition=definition(), cluster=cluster())
    found = replayed(
        [
            policy("another-slo", HALF, slos=("reads",)),
            policy("another-cluster", HALF, selector=Selector.of({"cluster": "users"})),
            policy("mine", HALF, slos=("*-writes",), selector=Selector.of({"cluster": "orders"})),
        ],
        outage(),
        instance,
    )
    assert [one.policy.name for one in found] == ["mine"]


def test_what_still_goes_on_ends_with_the_history() -> None:
    instance = SloInstance(definition=definition(target="0.9", window=RollingWindow(seconds=3_600)), cluster=cluster())
    series = SlotSeries()
    series.add(START, Counts(0, 1), length=360)
    (found,) = replayed([policy("spent", HALF)], series, instance)
    assert found.spans[-1].until == slot_start(START + 360)
    assert found.seconds == pytest.approx(3_600 - 180, abs=60)


CONFIG = """
state: {url: "sqlite:///dbre.db"}
fleet:
  clusters: [{name: orders, environment: prod, engine: postgresql, instances: [{name: orders-1, host: 192.0.2.1}]}]
slos:
  - name: writes
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99%
    window: {rolling: 1d}
error_budget_policies:
  - {name: outage, when: [{alert: page}], then: refuse}
  - {name: other, slos: [reads], when: [{alert: page}], then: hold}
"""


def test_the_command_says_what_the_configured_policies_would_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    lines = [f"{slot_start(START + at).isoformat()},{int(at < 2_000)},{int(at >= 2_000)}" for at in range(2_300)]
    (tmp_path / "day.csv").write_text("\n".join(["time,good,bad", *lines, ""]))
    words = ["simulate", "writes", "--csv", "day.csv", "--policy", "--target", "95%", "-o"]
    assert root.main(Application, ["slo", *words, "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["items"]
    assert (first["policy"], first["then"], first["times"], first["is_configured"]) == ("outage", "refuse", 1, True)
    assert first["spans"][0]["until"] == slot_start(START + 2_300).isoformat()
    assert 0 < first["ratio"] < 0.2
    assert first["seconds"] > second["seconds"]
    assert root.main(Application, ["slo", *words, "table"]) == 0
    assert "lost telemetry is not replayed" in capsys.readouterr().err
    assert root.main(Application, ["slo", "simulate", "writes", "--policy", "--model"]) == 2
