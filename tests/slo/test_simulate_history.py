"""Where a replayed history comes from: a file, the store, a Prometheus; and what is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from slo_kit import FLEET, START, World, cluster, definition
from test_simulate_replay import EVENTS, series_of
from test_simulate_replay import START as FIRST

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.errors import InvalidObjective, InvalidRule, InvalidWindow
from dbre.capabilities.slo.polling.documents import PrometheusDocument
from dbre.capabilities.slo.reading import recent_alerts
from dbre.capabilities.slo.series import slot_at, slot_start
from dbre.capabilities.slo.simulation.csv_history import InvalidHistory, read_csv
from dbre.capabilities.slo.simulation.stored import prometheus_history, stored_history
from dbre.capabilities.slo.simulation.variants import read_rule, read_target, read_window, simulate, variants_of
from dbre.core.errors import UsageError
from dbre.lab.prometheus import PrometheusServer
from dbre.ports.probe import Outcome

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)


def written(path: Path, text: str) -> Path:
    (path / "history.csv").write_text(text)
    return path / "history.csv"


def test_a_file_may_name_its_columns_in_any_order_and_times_in_two_ways(tmp_path: Path) -> None:
    first = int(BEGIN.timestamp())
    path = written(
        tmp_path, f"Total,time,good,note\n10,{first + 3},9,x\n5,{first + 9}.5,5,y\n4,2026-09-01T02:00:10+02:00,0,z\n"
    )
    series = read_csv(path)
    slot = slot_at(BEGIN)
    assert [(run.start, run.counts) for run in series.runs()] == [(slot, Counts(14, 1)), (slot + 1, Counts(0, 4))]


def test_all_wrong_lines_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "time,good,total\nyesterday,1,1\n2026-09-01T00:00:00,1,1\n1788220800,-1,1\n1788220800,2,1\n1788220800,1.5,2\n1788220800,1,1\n",
    )
    with pytest.raises(InvalidHistory) as caught:
        read_csv(path)
    text = str(caught.value)
    for line, message in (
        (2, "neither RFC 3339 nor Unix seconds"), (3, "no offset"), (4, "good is no count"), (5, "more than total 1"),
        (6, "good is no count"),
    ):  # fmt: skip
        assert any(part.startswith(f"{path}:{line}") and message in part for part in text.replace("\n  ", "\n").splitlines())
    assert f"{path}:7" not in text


@pytest.mark.parametrize(
    "text", ["", "time,good\n", "time,good,bad,total\n", "when,good,bad\n", "time,good,bad\n"], ids=["a", "b", "c", "d", "e"]
)
def test_a_file_without_counts_or_columns_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidHistory):
        read_csv(written(tmp_path, text))
    with pytest.raises(InvalidHistory, match="cannot be read"):
        read_csv(tmp_path / "none.csv")


async def test_the_stored_history_is_what_the_engine_counted(store) -> None:
    world = World(store)
    instance = SloInstance(definition=definition(), cluster=cluster())
    empty, interval_ms = await stored_history(store, instance, since=START, until=START)
    assert (len(empty), interval_ms) == (0, 10_000)
    await world.probe(Outcome.GOOD, times=100)
    await world.probe(Outcome.BAD, times=30)
    await world.probe(Outcome.GOOD, times=270)
    until = world.clock.now()
    series, interval_ms = await stored_history(store, instance, since=START - timedelta(days=1), until=until)
    first, end = slot_at(START), slot_at(until) + 1
    whole = series.window(first, end)
    assert (whole.total, whole.bad, interval_ms) == (400, 30, 10_000)
    (configured,) = variants_of(definition(), targets=[], windows=[], rules=[])
    outcome = simulate(configured, instance, series, start=first, end=end, interval_ms=interval_ms)
    fired = [one for one in await recent_alerts(store) if one.severity == "page"]
    assert [one.rule for one in outcome.replayed.pages] == [one.rule for one in fired] == ["page-1h"]
    assert abs(outcome.replayed.pages[0].fired_at - fired[0].fired_at) <= timedelta(seconds=10)


async def test_counters_of_a_real_prometheus_are_replayed(prometheus: PrometheusServer) -> None:
    samples = ["# TYPE sim_requests counter"]
    for code, step in (("200", 5), ("500", 1)):
        labels = f'{{job="api",instance="a",db="orders",code="{code}"}}'
        samples += [f"sim_requests_total{labels} {step * at} {BEGIN.timestamp() + 15 * at:.0f}" for at in range(241)]
    await prometheus.backfill("\n".join([*samples, "# EOF", ""]))
    server = PrometheusDocument.model_validate({"name": "main", "url": prometheus.url})
    series = await prometheus_history(
        server,
        bad='sim_requests_total{code="500",db="{cluster}"}',
        total='sim_requests_total{db="{cluster}"}',
        cluster="orders",
        since=BEGIN,
        until=BEGIN + timedelta(hours=1),
    )
    assert series.window(slot_at(BEGIN), slot_at(BEGIN) + 360) == Counts(1200, 240)
    with pytest.raises(UsageError, match=r"holds sum\(\)"):
        await prometheus_history(server, bad="sum(x)", total="y", cluster="orders", since=BEGIN, until=BEGIN)


def test_variants_are_every_combination_and_each_can_fire() -> None:
    one = definition()
    found = variants_of(one, targets=[read_target("99%"), read_target("0.9995")], windows=[read_window("7d")], rules=[])
    assert [(str(each.definition.target), each.is_configured) for each in found] == [
        ("0.999", True), ("0.99", False), ("0.9995", False),
    ]  # fmt: skip
    assert variants_of(one, targets=[one.target], windows=[], rules=[]) == found[:1]
    with pytest.raises(InvalidRule, match="can never fire"):
        variants_of(one, targets=[read_target("90%")], windows=[], rules=[read_rule("page:2%:1h")])
    with pytest.raises(InvalidRule, match="looks back over"):
        variants_of(one, targets=[], windows=[read_window("1d")], rules=[read_rule("page:2:2d")])


def test_rules_targets_and_windows_are_read_from_one_word() -> None:
    rule = read_rule("ticket:3:1d:2h")
    assert (rule.name, rule.severity, rule.factor, rule.long_seconds, rule.short_seconds) == (
        "ticket-1d", "ticket", 3, 86_400, 7_200,
    )  # fmt: skip
    for wrong in ("page", "pager:2%:1h", "page:2%:soon", "page:0%:1h", "page:2%:1h:2h"):
        with pytest.raises(InvalidRule):
            read_rule(wrong)
    for wrong in ("100%", "0.9999999999"):
        with pytest.raises(InvalidObjective):
            read_target(wrong)
    for wrong in ("15s", "500d"):
        with pytest.raises(InvalidWindow):
            read_window(wrong)


def test_pages_that_the_guard_holds_back_are_told_apart() -> None:
    instance = SloInstance(definition=definition(sli=EVENTS), cluster=FLEET.clusters[0])
    chance = [(1, (5, 0)), (9_000, (0, 0)), (1, (0, 1)), (1, (50, 0)), (200, (1, 0))]  # one error among no requests
    series = series_of([*chance, (9_000, (1, 0)), (300, (0, 3))])
    (configured,) = variants_of(instance.definition, targets=[], windows=[], rules=[])
    end = series.end or 0
    outcome = simulate(configured, instance, series, start=FIRST, end=end, interval_ms=0)
    assert len(outcome.replayed.pages) == 1
    (page,) = outcome.chance_pages
    assert page.errors_since == slot_start(FIRST + 9_001)
