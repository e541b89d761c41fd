"""SLOs in the configuration: what is written is what is measured, and every mistake is reported at its place."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from slo_kit import FLEET, cluster

from dbre.capabilities.slo import ALERTING, SLOS, definitions_from, instances_of, problems_of
from dbre.capabilities.slo.sli import SliKind
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow
from dbre.core.config import ConfigInvalid, load
from dbre.core.fleet import EndpointPurpose, Fleet

KEYS = {
    "name": "name: orders-writes",
    "selector": "selector: {cluster: orders}",
    "sli": "sli: {kind: availability, purpose: write}",
    "target": "target: 99.9%",
    "window": "window: {rolling: 30d}",
}


def read(tmp_path: Path, *slos: dict[str, str], alerting: str = "{}"):
    path = tmp_path / "dbre.yaml"
    entries = ["\n".join(f"    {line}" for line in {**KEYS, **slo}.values() if line) for slo in slos]
    path.write_text("slos:\n" + "".join("  -" + one[3:] + "\n" for one in entries) + f"alerting: {alerting}\n")
    config = load([path], sections=[SLOS, ALERTING], environment={}, flags={})
    return definitions_from(config.get(SLOS))


def problem(tmp_path, **changes) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, changes)
    return str(caught.value)


@pytest.mark.parametrize("text", ["99.9%", "0.999", '"99.9%"', '"0.999"', "99.90%"])
def test_a_target_is_written_as_ratio_or_percentage_and_stays_exact(tmp_path, text):
    (found,) = read(tmp_path, {"target": f"target: {text}"})
    assert found.target == Decimal("0.999")
    assert f"{found.target.normalize()}" == "0.999"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("99.9", "did you mean 99.9%"),
        ("100%", "leaves no error budget"),
        ("1", "leaves no error budget"),
        ("0", "promises nothing"),
        ("0%", "promises nothing"),
        ("101%", "between 0 and 1"),
        ("-1%", "between 0 and 1"),
        ('"99.99999999999%"', "more than 9 decimals"),
        ('"1e-400"', "decimals|not a ratio"),
        ('"nan"', "ratio|between"),
        ("yes", "boolean"),
        ("true", "ratio"),
        ("[0.9]", "ratio"),
    ],
)
def test_what_is_no_target_is_refused_with_a_reason(tmp_path, target, message):
    import re

    found = problem(tmp_path, target=f"target: {target}")
    assert re.search(message, found), found
    assert re.search(r"dbre\.yaml:5", found), found


def test_indicators(tmp_path):
    found = read(
        tmp_path,
        {"name": "name: a", "sli": "sli: {kind: latency, query_class: read, threshold: 100ms}"},
        {"name": "name: b", "sli": "sli: {kind: freshness, max_age: 5s}"},
        {"name": "name: c", "sli": "sli: {kind: availability, purpose: replica}"},
    )
    assert [(one.sli.kind, one.sli.purpose, one.sli.limit_ms) for one in found] == [
        (SliKind.LATENCY, EndpointPurpose.READ, 100),
        (SliKind.FRESHNESS, EndpointPurpose.REPLICA, 5000),
        (SliKind.AVAILABILITY, EndpointPurpose.REPLICA, None),
    ]


def test_windows(tmp_path):
    found = read(
        tmp_path,
        {"name": "name: a"},
        {"name": "name: b", "window": "window: {calendar: month, time_zone: Europe/Madrid}"},
        {"name": "name: c", "window": "window: {calendar: quarter}"},
    )
    assert [one.window for one in found] == [
        RollingWindow(seconds=2_592_000),
        CalendarWindow(unit=CalendarUnit.MONTH, time_zone="Europe/Madrid"),
        CalendarWindow(unit=CalendarUnit.QUARTER, time_zone="UTC"),
    ]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("window", "window: {rolling: 30d, calendar: month}", "either rolling or calendar"),
        ("window", "window: {}", "either rolling or calendar"),
        ("window", "window: {rolling: 30d, time_zone: UTC}", "remove time_zone"),
        ("window", "window: {calendar: month, time_zone: Europe/Madird}", "not a time zone"),
        ("window", "window: {rolling: 0m}", "no time at all"),
        ("window", "window: {rolling: -1h}", "not a duration"),
        ("window", "window: {rolling: 1.5h}", "not a duration"),
        ("window", "window: {rolling: 5M}", "not a duration"),
        ("window", "window: {rolling: 2000d}", "between 1m and 400d"),
        ("window", "window: {rolling: 61s}", "whole number of slots"),
        ("name", "name: Orders_Writes", "name"),
        ("name", "name: " + "a" * 64, "name"),
        ("name", 'name: "orders\\n"', "name"),
        ("selector", "selector: {}", "selector"),
        ("selector", "selector: {tier: 0}", "selector"),
        ("selector", "selector: {cluster: []}", "no value"),
        ("sli", "sli: {kind: avaiability, purpose: write}", "availability"),
        ("sli", "sli: {kind: latency, purpose: write}", "query_class"),
        ("sli", "sli: {kind: latency, query_class: read, treshold: 1s}", "threshold"),
        ("alerts", "alerts: [{severity: page, long: 1h}]", "either a budget or a factor"),
        ("alerts", "alerts: [{severity: page, long: 1h, factor: 2, budget: 2%}]", "either a budget or a factor"),
        ("alerts", 'alerts: [{severity: page, long: 1h, budget: "0%"}]', "fires always"),
        ("alerts", "alerts: [{severity: page, long: 1h, short: 1h, factor: 2}]", "not shorter"),
        ("alerts", "alerts: [{severity: page, long: 31d, factor: 2}]", "looks back over 31d"),
        ("alerts", "alerts: [{severity: page, long: 1h, factor: 1000}]", "can never fire"),
        ("alerts", "alerts: [{severity: page, long: 1h, factor: 2}, {severity: page, long: 1h, factor: 3}]", "two alert rules"),
        ("alerts", "alerts: [{severity: sms, long: 1h, factor: 2}]", "page"),
        ("alerts", "alerts: [{severity: page, long: 1h, factor: -2}]", "above 0"),
        ("policies", "policies: {low_traffic_guard: on}", "boolean"),
        ("policies", "policies: {no_data: maybe}", "alert"),
        ("wndow", "wndow: {rolling: 30d}", "window"),
    ],
)
def test_mistakes_are_reported(tmp_path, key, text, message):
    assert message in problem(tmp_path, **{key: text})


def test_a_low_target_needs_rules_of_its_own_and_the_message_names_the_limit(tmp_path):
    text = problem(tmp_path, target="target: 90%")
    assert "page-1h can never fire" in text
    assert "largest reachable factor is 9.99" in text
    (found,) = read(tmp_path, {"target": "target: 90%", "alerts": "alerts: [{severity: page, long: 1h, factor: 9.99}]"})
    assert found.rules_for(2_592_000)[0].factor == Fraction("9.99")


def test_a_part_of_the_budget_follows_the_length_of_the_month(tmp_path):
    rule = 'alerts: [{severity: ticket, long: 1d, budget: "10%", name: slow}]'
    (found,) = read(tmp_path, {"window": "window: {calendar: month}", "alerts": rule})
    assert [found.rules_for(days * 86_400)[0].factor for days in (28, 30, 31)] == [Fraction("2.8"), 3, Fraction("3.1")]


def test_all_mistakes_are_reported_at_once_and_names_are_unique(tmp_path):
    with pytest.raises(ConfigInvalid) as caught:
        read(
            tmp_path, {}, {"target": "target: 99.9"}, {"window": "window: {rolling: 1x}"}, alerting="{evaluation_interval: 1h}"
        )
    text = str(caught.value)
    assert text.count("another SLO has the name orders-writes") == 2
    assert "did you mean 99.9%" in text
    assert "'1x' is not a duration" in text
    assert "between 200ms and 10m" in text


def test_a_selector_makes_one_instance_a_cluster(tmp_path):
    fleet = Fleet(clusters=(cluster("a", tier="0"), cluster("b", tier="1"), cluster("c", tier="2")))
    (found,) = read(tmp_path, {"selector": 'selector: {environment: prod, tier: ["0", "1"]}'})
    assert [one.id for one in instances_of((found,), fleet)] == ["orders-writes@a", "orders-writes@b"]
    assert problems_of((found,), fleet) == ()


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("{clustr: orders}", "did you mean cluster?"),
        ("{cluster: order}", "did you mean orders?"),
        ("{environment: test}", "there is prod"),
    ],
)
def test_a_selector_that_selects_nothing_is_a_reported_problem(tmp_path, selector, hint):
    found = problems_of(read(tmp_path, {"selector": f"selector: {selector}"}), FLEET)
    assert len(found) == 1
    assert "selects no cluster and measures nothing" in found[0].message
    assert hint in found[0].hint


def test_an_slo_of_replicas_on_a_cluster_without_any_is_a_reported_problem(tmp_path):
    found = problems_of(read(tmp_path, {"sli": "sli: {kind: freshness, max_age: 5s}"}), FLEET)
    assert "cluster orders has no replica endpoint" in found[0].message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sli": "sli: {kind: latency, query_class: write, threshold: 5s}"}, "probe.total_timeout ends them after 3"),
        ({"sli": "sli: {kind: freshness, max_age: 5s}"}, "probe.interval is 10"),
        ({"target": "target: 99.9999%"}, "a single one spends the whole budget"),
    ],
)
def test_what_probes_cannot_measure_is_a_warning(tmp_path, changes, message):
    limits = {"probe_interval": timedelta(seconds=10), "probe_timeout": timedelta(seconds=3)}
    found = [one for one in problems_of(read(tmp_path, changes), FLEET, **limits) if not one.measures_nothing]
    assert len(found) == 1
    assert message in found[0].message
    assert problems_of(read(tmp_path, {}), FLEET, **limits) == ()


def test_other_rules_do_not_make_another_promise_and_another_target_does(tmp_path):
    (one,) = read(tmp_path, {})
    (other,) = read(tmp_path, {"target": "target: 99.95%"})
    assert one.hash != other.hash
    assert one.sli.hash == other.sli.hash
