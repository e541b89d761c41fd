"""Native rules: what promtool says of them, what they fire for, and that no name or text can break out of them."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from slo_kit import cluster, definition

from dbre.capabilities.slo.alert_rules import BurnRule, Severity
from dbre.capabilities.slo.budgeting_method import TimeSlices
from dbre.capabilities.slo.compiler.compilation import RulesRefused, WrittenFile, alertmanager_files, check_files, rule_files
from dbre.capabilities.slo.compiler.promql import is_selector, number, one_of, string
from dbre.capabilities.slo.compiler.sample_series import sample_series
from dbre.capabilities.slo.compiler.subject import subjects_of
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.errors import InvalidRule
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource, PrometheusSource
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow
from dbre.core.fleet import Fleet
from dbre.testing.monitoring_fixtures import require_tool

FLEET = Fleet(clusters=(cluster("orders"), cluster("billing")))
TOTAL = 'requests_total{app="shop",cluster="{cluster}"}'
BAD = 'requests_total{app="shop",cluster="{cluster}",code=~"5.."}'


def counted(bad: str = BAD, total: str = TOTAL, **changes: object) -> Definition:
    source = PrometheusSource(prometheus="main", bad=bad, total=total, group_label=changes.pop("group_label", None))
    return definition("api", sli=Sli(kind=SliKind.AVAILABILITY, source=source), **changes)


def compiled(*definitions: Definition, tests: bool = False, is_everything: bool = True) -> list[WrittenFile]:
    subjects = subjects_of(definitions, FLEET)
    options = {"is_sloth": False, "probe_interval_ms": 10_000, "is_everything": is_everything}
    return rule_files(subjects, with_tests=tests, **options)[0]


def rules(*definitions: Definition) -> list[dict]:
    return [rule for group in yaml.safe_load(compiled(*definitions)[0].text)["groups"] for rule in group["rules"]]


def notes(*definitions: Definition) -> str:
    subjects = subjects_of(definitions, FLEET)
    options = {"is_sloth": False, "with_tests": True, "probe_interval_ms": 10_000, "is_everything": True}
    return "\n".join(rule_files(subjects, **options)[1])


HOSTILE = 'a"} or vector(1) # {{ $value }} \x1b[2J\n'


async def test_promtool_likes_rules_for_every_kind_of_slo() -> None:
    require_tool("promtool")
    events = Sli(kind=SliKind.AVAILABILITY, source=EventSource(group_attribute="tenant"))
    month = CalendarWindow(unit=CalendarUnit.MONTH, time_zone="Europe/Madrid")
    mixed = [
        definition("probed", description=HOSTILE),
        definition("by-tenant", sli=events, days=7),
        definition("month", window=month),
        definition("short", target="0.99", days=1),
        definition("slices", slices=TimeSlices(seconds=60, target=Decimal("0.95"))),
        counted(group_label="tenant", target="0.99", days=28),
        definition("without-alerts", rules=()),
    ]
    (finding,) = await check_files(compiled(*mixed))
    assert "SUCCESS" in finding.output
    (finding,) = await check_files(compiled(mixed[0], is_everything=False))
    assert "SUCCESS" in finding.output


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_unit_tests_beside_the_rules_pass_and_fail_where_rules_are_wrong() -> None:
    require_tool("promtool")
    files = compiled(definition("probed", days=7), counted(days=7), tests=True)
    names = [test["name"] for test in yaml.safe_load(files[1].text)["tests"]]
    assert [name.partition(": ")[2] for name in names if name.startswith("api")] == [
        "a total outage fires page-1h, and its end ends it",
        "half an hour without traffic leaves the budget a number",
        "one failure among the first five events wakes nobody",
        "no series of bad events means none",
    ]
    await check_files(files)
    rules_file, tests_file = compiled(counted(days=7), tests=True)
    good = rules_file.text
    broken = {
        "dbre:slo_burn_rate:ratio{": good.replace("5m > 0)", "5m)"),  # a ratio of nothing to nothing
        "dbre:slo_bad:increase5m{": good.replace("\n      or\n      0 * (", "\n      and\n      0 * ("),  # no errors, no series
        "count(ALERTS{": good.replace("3.72 *", "0 *").replace("+ 2.1397333333333333", ""),  # chance fires
    }
    for expression, text in broken.items():
        with pytest.raises(RulesRefused) as refused:
            await check_files([replace(rules_file, text=text), tests_file])
        assert expression in refused.value.message


def test_what_people_wrote_stays_text() -> None:
    slo = counted(group_label="tenant", description=HOSTILE)
    hostile = Fleet(clusters=(cluster('o"} or vector(1) or x{a="{{ $value }}'),))
    text = rule_files(
        subjects_of([slo], hostile), is_sloth=False, with_tests=True, probe_interval_ms=10_000, is_everything=True
    )[0][0].text
    burning = next(one for group in yaml.safe_load(text)["groups"] for one in group["rules"] if one.get("alert"))
    assert '{{ "{{" }} $value' in burning["annotations"]["description"]
    assert "\x1b" not in text
    assert 'cluster="o\\"} or vector(1)' in text.replace('\\\\\\"', '\\"').replace('\\"', '"').replace('o"}', 'o\\"}')


def test_an_alert_that_cannot_fire_is_refused_with_the_largest_factor() -> None:
    rule = BurnRule(name="x", severity=Severity.PAGE, factor=Fraction("14.4"), long_seconds=3600, short_seconds=300)
    with pytest.raises(InvalidRule, match="can never fire") as refused:
        compiled(definition(target="0.9", rules=(rule,)))
    assert "largest reachable factor is 9.99" in str(refused.value.hint)


def test_the_same_slos_give_the_same_text_in_whatever_order() -> None:
    first, second = definition("a"), definition("b", days=28)
    assert compiled(first, second) == compiled(second, first)
    assert "sha256" in compiled(first)[0].text
    assert compiled(first)[0].text.splitlines()[1] != compiled(second)[0].text.splitlines()[1]


def test_thresholds_are_exact_and_windows_lie_side_by_side() -> None:
    found = rules(definition())
    burn = next(one for one in found if one.get("alert") == "SloErrorBudgetBurn")
    assert '> 0.0144 * clamp_min(dbre:slo_total:increase1h{slo="orders-writes"}, 360)' in burn["expr"]
    assert '> 0.0144 * dbre:slo_total:increase5m{slo="orders-writes"}' in burn["expr"]
    assert burn["labels"] == {"slo": "orders-writes", "rule": "page-1h", "severity": "page"}
    by_name = {one.get("record"): one["expr"] for one in found}
    assert by_name["dbre:slo_bad:increase6h"] == "sum_over_time(dbre:slo_bad:increase5m[5h59m59s999ms:5m])"
    assert by_name["dbre:slo_allowed:ratio"] == "vector(0.001)"


def test_counters_of_the_user_are_counted_once() -> None:
    found = rules(definition("own"), counted())
    shared = [one["expr"] for one in found if one.get("record") == "dbre:slo_bad:increase5m"]
    assert 'slo!~"api"' in shared[0]
    assert 'requests_total{app="shop",cluster="billing",code=~"5.."}[5m]' in shared[1]
    assert len(shared) == 3  # own, and api on two clusters


def test_what_promql_cannot_do_is_said() -> None:
    month = CalendarWindow(unit=CalendarUnit.MONTH, time_zone="UTC")
    told = notes(
        definition("month", window=month),
        definition("slices", slices=TimeSlices(seconds=60, target=Decimal("0.95"))),
        counted(bad="sum(errors_total)"),
        definition("short", target="0.99", days=1),
    )
    assert "SLO short looks at a window of 10s, in which PromQL needs two scrapes: scrape each 2 s" in told
    assert "SLO month has a calendar month (UTC): PromQL has no such window" in told
    assert "SLO slices has a budget of slices of time" in told
    assert "resets of single counters are lost in sum(errors_total)" in told
    assert "SLO api has no unit tests" in told


async def test_alertmanager_takes_the_routes() -> None:
    require_tool("amtool")
    files = alertmanager_files(subjects_of([definition()], FLEET), page_receiver="pager", ticket_receiver="tracker")
    (finding,) = await check_files(files)
    assert finding.is_good
    assert "4 inhibit rules" in finding.output
    with pytest.raises(RulesRefused, match="amtool refuses"):
        await check_files([WrittenFile(name="x.yml", kind="alertmanager", text="route: {receiver: nobody}")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", True),
        ('{__name__="up"}', True),
        ('up{job="}", a=~"x|y",}', True),
        ("rate(up[5m])", False),
        ("up offset 5m", False),
        ("up + up", False),
        ("", False),
    ],
)
def test_a_plain_selector_is_told_from_an_expression(text: str, expected: bool) -> None:
    assert is_selector(text) is expected


def test_numbers_and_strings_keep_their_meaning() -> None:
    assert number(1 - Decimal("0.999999999")) == "0.000000001"
    assert number(Fraction(1, 3)) == "0.33333333333333333"
    assert string("\u202e\n") == '"\\U0000202e\\n"'
    assert one_of("slo", ["a.b", "c"]) == 'slo=~"a\\\\.b|c"'


@pytest.mark.parametrize(
    ("bad", "total", "found"),
    [
        ('r{code=~"5.."}', "r", True),
        ("errors_total", "requests_total", True),
        ('r{code!~"2..|3.."}', "r", True),
        ('r{le="+Inf"}', 'r{le="0.3"}', False),
        ('r{code=~"["}', "r", False),
        ("sum(r)", "r", False),
    ],
)
def test_series_for_unit_tests_are_told_apart_by_the_selectors(bad: str, total: str, found: bool) -> None:
    series = sample_series(bad, total)
    assert (series is not None) is found


def test_the_files_name_no_place(tmp_path: Path) -> None:
    assert str(tmp_path) not in compiled(definition())[0].text
