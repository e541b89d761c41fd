"""Rules for those who come from Sloth: names, labels, numbers and expressions as ``sloth generate`` writes them."""

from decimal import Decimal
from fractions import Fraction

import pytest
import yaml
from slo_kit import cluster, definition

from dbre.capabilities.slo.alert_rules import BurnRule, Severity, default_rules
from dbre.capabilities.slo.budgeting_method import TimeSlices
from dbre.capabilities.slo.compiler.compilation import check_files, rule_files
from dbre.capabilities.slo.compiler.rule_file import Alert, Group, Record
from dbre.capabilities.slo.compiler.sloth import SlothSlo, sloth_duration, sloth_groups
from dbre.capabilities.slo.compiler.subject import subjects_of
from dbre.core.fleet import Fleet
from dbre.testing.monitoring_fixtures import require_tool

DAY = 86_400
ERRORS = 'sum(rate(requests_total{job="shop",code=~"(5..|429)"}[{{.window}}]))'
TOTAL = 'sum(rate(requests_total{job="shop"}[{{.window}}]))'
ID = '{sloth_id="svc-slo", sloth_service="svc", sloth_slo="slo"}'
LABELS = {"sloth_id": "svc-slo", "sloth_service": "svc", "sloth_slo": "slo", "team": "a"}


def spec(**changes: object) -> SlothSlo:
    given = {
        "service": "svc",
        "name": "slo",
        "objective": Decimal("99.9"),
        "rules": default_rules(30 * DAY),
        "period_seconds": 30 * DAY,
        "error_query": ERRORS,
        "total_query": TOTAL,
        "labels": {"team": "a"},
        **changes,
    }
    return SlothSlo(**given)


def flat(text: str) -> str:
    return " ".join(text.split())


def records(groups: list[Group]) -> dict[str, Record]:
    return {rule.name: rule for group in groups for rule in group.rules if isinstance(rule, Record)}


def alerts(groups: list[Group]) -> list[Alert]:
    return [rule for group in groups for rule in group.rules if isinstance(rule, Alert)]


def test_indicators_are_recorded_over_eight_windows() -> None:
    groups = sloth_groups([spec()])
    assert [group.name for group in groups] == [
        "sloth-slo-sli-recordings-svc-slo",
        "sloth-slo-meta-recordings-svc-slo",
        "sloth-slo-alerts-svc-slo",
    ]
    found = {name: rule for name, rule in records(groups).items() if ":ratio_rate" in name}
    assert [name.rpartition("rate")[2] for name in found] == ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"]
    hour = found["slo:sli_error:ratio_rate1h"]
    assert flat(hour.expression) == f"({ERRORS}) / ({TOTAL})".replace("{{.window}}", "1h")
    assert hour.labels == {**LABELS, "sloth_window": "1h"}
    base = f"slo:sli_error:ratio_rate5m{ID}[30d]"
    whole = f"sum_over_time({base}) / ignoring (sloth_window) count_over_time({base})"
    assert flat(found["slo:sli_error:ratio_rate30d"].expression) == whole


def test_metadata_has_the_numbers_that_go_prints() -> None:
    found = records(sloth_groups([spec()]))
    expressions = {name: flat(rule.expression) for name, rule in found.items() if ":ratio_rate" not in name}
    on = "/ on(sloth_id, sloth_slo, sloth_service) group_left slo:error_budget:ratio"
    assert expressions == {
        "slo:objective:ratio": "vector(0.9990000000000001)",
        "slo:error_budget:ratio": "vector(1-0.9990000000000001)",
        "slo:time_period:days": "vector(30)",
        "slo:current_burn_rate:ratio": f"slo:sli_error:ratio_rate5m{ID} {on}{ID}",
        "slo:period_burn_rate:ratio": f"slo:sli_error:ratio_rate30d{ID} {on}{ID}",
        "slo:period_error_budget_remaining:ratio": f"1 - slo:period_burn_rate:ratio{ID}",
        "sloth_slo_info": "vector(1)",
    }
    about = found["sloth_slo_info"].labels
    assert (about["sloth_objective"], about["sloth_spec"], about["sloth_mode"]) == ("99.9", "prometheus/v1", "cli-gen-prom")
    assert records(sloth_groups([spec(objective=Decimal(95))]))["slo:objective:ratio"].expression == "vector(0.95)"


def test_a_page_and_a_ticket_each_with_a_quick_and_a_slow_pair() -> None:
    page, ticket = alerts(sloth_groups([spec(alert_labels={"x": "y"}, severity_labels={Severity.PAGE: {"to": "pager"}})]))

    def pair(factor: str, short: str, long: str) -> str:
        limit = f"({factor} * 0.0009999999999999432)) without (sloth_window)"
        first, second = (f"max(slo:sli_error:ratio_rate{window}{ID} > {limit}" for window in (short, long))
        return f"( {first} and {second} )"

    assert flat(page.expression) == f"{pair('14.4', '5m', '1h')} or {pair('6', '30m', '6h')}"
    assert flat(ticket.expression) == f"{pair('3', '2h', '1d')} or {pair('1', '6h', '3d')}"
    assert page.labels == {"x": "y", "to": "pager", "sloth_severity": "page"}
    assert page.annotations["title"].startswith("(page) {{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget")


@pytest.mark.parametrize(
    ("days", "window", "factors"),
    [
        (28, "4w", ["13.44", "5.6000000000000005", "2.8000000000000003", "0.9333333333333333"]),
        (30, "30d", ["14.4", "6", "3", "1"]),
    ],
)
def test_other_periods_round_as_sloth_rounds(days: int, window: str, factors: list[str]) -> None:
    groups = sloth_groups([spec(rules=default_rules(days * DAY), period_seconds=days * DAY)])
    assert sloth_duration(days * DAY) == window
    text = " ".join(alert.expression for alert in alerts(groups))
    assert [factor for factor in factors if f"({factor} * " not in text] == []
    assert f"slo:sli_error:ratio_rate{window}" in records(groups)


def test_windows_of_a_week_of_ones_own() -> None:
    percents = ((Severity.PAGE, 8, 3600, 300), (Severity.PAGE, "12.5", 21_600, 1800), (Severity.TICKET, 20, DAY, 7200))
    rules = [
        BurnRule(
            name=f"{severity}-{long}",
            severity=severity,
            factor=Fraction(percent) / 100 * 7 * DAY / long,
            long_seconds=long,
            short_seconds=short,
        )
        for severity, percent, long, short in percents
    ]
    page, ticket = alerts(sloth_groups([spec(rules=rules, period_seconds=7 * DAY)]))
    assert "(13.44 * " in page.expression
    assert "(3.5 * " in page.expression
    assert "(1.4000000000000001 * " in ticket.expression


def test_a_query_of_a_ratio_is_taken_as_it_is_and_alerts_can_be_off() -> None:
    groups = sloth_groups([spec(ratio_query=f"{ERRORS}\n/\n{TOTAL}", severities=())])
    assert len(groups) == 2
    found = records(groups)["slo:sli_error:ratio_rate5m"].expression
    assert flat(found) == f"({ERRORS} / {TOTAL})".replace("{{.window}}", "5m")


async def test_our_own_slos_become_rules_that_promtool_likes() -> None:
    require_tool("promtool")
    fleet = Fleet(clusters=(cluster("orders"), cluster("billing")))
    slices = definition("slices", slices=TimeSlices(seconds=60, target=Decimal("0.95")))
    subjects = subjects_of([definition("writes", description="{{ hostile }}"), slices], fleet)
    files, notes = rule_files(subjects, is_sloth=True, with_tests=False, probe_interval_ms=10_000, is_everything=True)
    (finding,) = await check_files(files)
    assert "SUCCESS: 34 rules found" in finding.output
    assert "SLO slices has a budget of slices of time, which Sloth does not know" in notes
    rules = [rule for group in yaml.safe_load(files[0].text)["groups"] for rule in group["rules"]]
    services = {rule["labels"]["sloth_service"] for rule in rules if "record" in rule}
    assert services == {"orders", "billing"}
