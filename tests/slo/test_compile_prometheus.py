"""A real Prometheus with 31 days of samples gives every number that our own engine gives for the same events."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from slo_kit import cluster, definition

from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.compiler.native import native_rules
from dbre.capabilities.slo.compiler.promql import duration
from dbre.capabilities.slo.compiler.rule_file import rendered
from dbre.capabilities.slo.compiler.subject import subjects_of
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.model import RuleKind, SloStatus
from dbre.capabilities.slo.series import SlotSeries
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource, PrometheusSource
from dbre.core.fleet import Fleet
from dbre.lab.prometheus import PrometheusServer

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
MINUTES = 31 * 1440
DAY = 1440
ORDERS = cluster("orders")

WRITES = definition("writes", sli=Sli(kind=SliKind.AVAILABILITY, source=EventSource(group_attribute="tenant")))
API = definition(
    "api",
    target="0.99",
    days=28,
    sli=Sli(
        kind=SliKind.AVAILABILITY,
        source=PrometheusSource(prometheus="main", bad='errors_total{app="shop"}', total='requests_total{app="shop"}'),
    ),
)


@dataclass
class Counter:
    """One series as it was scraped once a minute: None where it did not exist or was not scraped."""

    metric: str
    labels: dict[str, str]
    values: list[int | None] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        name = self.metric + "{" + ",".join(f'{label}="{value}"' for label, value in self.labels.items()) + "}"
        for minute, value in enumerate(self.values):
            if value is not None:
                yield f"{name} {value} {START + 60 * minute}"


@dataclass
class History:
    """What happened, as slots of our own and as counters of theirs."""

    writes: SlotSeries = field(default_factory=SlotSeries)
    api: SlotSeries = field(default_factory=SlotSeries)
    counters: list[Counter] = field(default_factory=list)


def happened(series: SlotSeries, minute: int, good: int, bad: int) -> None:
    """Events between two scrapes lie in the last slot before the second one."""
    series.add((START + 60 * minute) // 10 - 1, Counts(good=good, bad=bad))


def written(random_numbers: random.Random) -> History:
    history = History()
    writes_history(history, random_numbers)
    api_history(history, random_numbers)
    return history


def writes_history(history: History, chance: random.Random) -> None:
    """Busy days, quiet nights, two outages; an hour without dbre on day 12; a restart between two scrapes on day 20."""
    key = {"slo": "writes", "cluster": "orders", "group": "t1", "job": "dbre"}
    roll_up = {name: value for name, value in key.items() if name != "group"}
    counters = [Counter(f"dbre_slo_{what}_total", labels) for labels in (key, roll_up) for what in ("good", "bad")]
    good_count = bad_count = 0
    for minute in range(MINUTES + 1):
        is_busy = 8 <= minute // 60 % 24 < 20
        events = chance.randint(200, 400) if is_busy else chance.randint(0, 5)
        ratio = 0.3 if 30 * DAY + 700 <= minute < 30 * DAY + 790 else 0.02 if 9 * DAY <= minute < 9 * DAY + 400 else 0.0005
        bad = sum(chance.random() < ratio for _ in range(events))
        is_away = 12 * DAY < minute <= 12 * DAY + 60
        if minute in (12 * DAY + 61, 20 * DAY + 7):  # a new process counts from 0
            good_count = bad_count = 0
        if minute == 0 or is_away or minute == 12 * DAY + 61:
            events = bad = 0
        happened(history.writes, minute, events - bad, bad)
        good_count, bad_count = good_count + events - bad, bad_count + bad
        for counter, value in zip(counters, (good_count, bad_count) * 2, strict=True):
            counter.values.append(None if is_away else value)
    history.counters += counters


def api_history(history: History, chance: random.Random) -> None:
    """Two processes that restart at other times; no error, and no series of errors, before day 25; an idle day 27."""
    requests = [Counter("requests_total", {"app": "shop", "instance": name}) for name in ("a", "b")]
    errors = Counter("errors_total", {"app": "shop", "instance": "a"})
    counts, error_count = [0, 0], 0
    for minute in range(MINUTES + 1):
        is_idle = minute == 0 or 27 * DAY <= minute < 28 * DAY
        events = [0, 0] if is_idle else [chance.randint(0, 60), chance.randint(0, 60)]
        has_errors = minute > 25 * DAY
        bad = sum(chance.random() < (0.5 if minute > 31 * DAY - 30 else 0.004) for _ in range(events[0])) if has_errors else 0
        if minute % (5 * DAY) == 77:
            counts[0] = error_count = 0
        if minute % (7 * DAY) == 99:
            counts[1] = 0
        happened(history.api, minute, sum(events) - bad, bad)
        error_count += bad
        for index, counter in enumerate(requests):
            counts[index] += events[index]
            counter.values.append(counts[index])
        errors.values.append(error_count if minute >= 25 * DAY else None)
    history.counters += [*requests, errors]


MOMENTS = [
    START + 60 * minute
    for minute in (
        30 * DAY,  # the first moment with whole windows
        30 * DAY + 5,
        30 * DAY + 715,  # a page should fire
        30 * DAY + 795,  # just over
        30 * DAY + 1200,
        31 * DAY - 20,
        31 * DAY,
    )
]


def compiled(definitions: Sequence[Definition]) -> list[dict[str, Any]]:
    fleet = Fleet(clusters=(ORDERS,))
    groups = native_rules(subjects_of(definitions, fleet), probe_interval_ms=10_000).groups
    return [rule for group in yaml.safe_load(rendered(groups, title="x"))["groups"] for rule in group["rules"]]


def samples(rule: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The answers to a recording rule, as the samples that it would have written."""
    for series in found:
        labels = {**{name: value for name, value in series["metric"].items() if name != "__name__"}, **rule.get("labels", {})}
        name = rule["record"] + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
        for moment, value in series.get("values") or [series["value"]]:
            yield f"{name} {value} {moment}"


async def record(prometheus: PrometheusServer, rules: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> None:
    """Let Prometheus evaluate rules at whole steps, and keep what it says: ``moments`` empty means each 5 min."""
    lines: list[str] = []
    for rule in rules:
        if moments:
            for moment in moments:
                lines += samples(rule, await prometheus.query(rule["expr"], at=moment))
        else:
            end = START + 60 * MINUTES
            found = await prometheus.query_range(rule["expr"], start=START, end=end, step=300)
            lines += samples(rule, [one | {"values": without_gaps(one["values"], end)} for one in found])
    await prometheus.backfill("\n".join([*in_families(lines), "# EOF\n"]))


def without_gaps(values: Sequence[Sequence[Any]], end: int) -> list[Sequence[Any]]:
    """A rule without an answer marks its series as stale; OpenMetrics has no such mark, and 0 adds as much to every sum."""
    known = {int(moment): value for moment, value in values}
    return [(moment, known.get(moment, "0")) for moment in range(min(known), end + 1, 300)]


def in_families(lines: Sequence[str]) -> list[str]:
    """OpenMetrics wants all samples of a series together, oldest first."""
    return sorted(lines, key=lambda line: (line.rpartition("}")[0], float(line.rpartition(" ")[2])))


def judged(slo: Definition, series: SlotSeries, moment: int, group: str = "") -> SloStatus:
    measured = Measured(
        instance=SloInstance(definition=slo, cluster=ORDERS, group=group),
        series=series,
        recent=series,
        interval_ms=0,
        silent_seconds=0,
        lost_after_seconds=60,
    )
    return assess(measured, datetime.fromtimestamp(moment - 1, UTC))


def value_of(found: Sequence[Mapping[str, Any]], slo: str, group: str) -> float | None:
    """The one series of an instance."""
    chosen = [one for one in found if one["metric"].get("slo", slo) == slo and one["metric"].get("group", "") == group]
    assert len(chosen) <= 1
    return float(chosen[0]["value"][1]) if chosen else None


class Recorded:
    """All that was recorded for one moment."""

    def __init__(self, found: Sequence[Mapping[str, Any]]) -> None:
        self._values = {self._key(one["metric"]): float(one["value"][1]) for one in found}

    @staticmethod
    def _key(labels: Mapping[str, str]) -> tuple[str, str, str, str]:
        return labels["__name__"], labels["slo"], labels.get("group", ""), labels.get("window", "")

    def value(self, metric: str, status: SloStatus, *, window: str = "") -> float | None:
        return self._values.get((metric, status.name, status.group, window))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_prometheus_gives_every_number_of_our_engine(prometheus: PrometheusServer) -> None:
    history = written(random.Random(4))
    rules = compiled([WRITES, API])
    await prometheus.backfill("\n".join([*(line for one in history.counters for line in one.lines()), "# EOF\n"]))
    base = [one for one in rules if str(one.get("record", "")).endswith(":increase5m")]
    await record(prometheus, base, [])
    constant = [one for one in rules if one.get("record") in ("dbre:slo_allowed:ratio", "dbre:slo_objective:ratio")]
    sums = [one for one in rules if ":slo_bad:" in one.get("record", "") or ":slo_total:" in one.get("record", "")]
    sums = [one for one in sums if one not in base]
    await record(prometheus, [*constant, *sums], MOMENTS)
    derived = [one for one in rules if "record" in one and one not in [*base, *sums, *constant]]
    await record(prometheus, derived, MOMENTS)
    compared, fired = 0, set()
    for slo, series, groups in ((WRITES, history.writes, ("", "t1")), (API, history.api, ("",))):
        for moment in MOMENTS:
            recorded = Recorded(await prometheus.query('{__name__=~"dbre:slo_.+"}', at=moment))
            for group in groups:
                status = judged(slo, series, moment, group)
                compared += compare(recorded, status, moment)
                fired |= await compare_alerts(prometheus, rules, status, moment)
    assert compared > 200
    assert {"page-1h", "ticket-1d"} <= fired, "alerts that never fire prove nothing"


def compare(recorded: Recorded, status: SloStatus, moment: int) -> int:
    """Counts and burn rates of each window of the rules, and the budget of the period; returns how many numbers."""
    expected: list[tuple[str, str, Any]] = []
    for reading in status.burn_rates:
        window = duration(reading.window_seconds)
        expected += [
            (f"dbre:slo_bad:increase{window}", "", reading.counts.bad),
            (f"dbre:slo_total:increase{window}", "", reading.counts.total),
            ("dbre:slo_burn_rate:ratio", window, reading.rate),
        ]
    period = duration(status.at.seconds)
    expected += [
        ("dbre:slo_bad:period", period, status.bad),
        ("dbre:slo_total:period", period, status.total),
        ("dbre:slo_error:ratio", period, 1 - (status.ratio or 0)),
        ("dbre:slo_budget_remaining:ratio", period, 1 - (status.budget.raw_consumed_ratio or 0)),
    ]
    for metric, window, number in expected:
        found = recorded.value(metric, status, window=window)
        where = f"{metric} {window} of {status.id} at {datetime.fromtimestamp(moment, UTC):%d %H:%M}"
        assert found == (None if number is None else pytest.approx(float(number), rel=1e-9, abs=1e-6)), where
    return len(expected)


async def compare_alerts(
    prometheus: PrometheusServer, rules: Sequence[Mapping[str, Any]], status: SloStatus, moment: int
) -> set[str]:
    """Each alert is met there where it is met here; returns those that are."""
    met = set()
    for one in status.alerts:
        if one.kind is not RuleKind.BURN:
            continue
        (rule,) = (
            each for each in rules if each.get("alert") and each["labels"].get("slo") == status.name
            and each["labels"]["rule"] == one.rule
        )  # fmt: skip
        found = value_of(await prometheus.query(rule["expr"], at=moment), status.name, status.group)
        assert (found is not None) is bool(one.is_met), f"{one.rule} of {status.id} at {moment}"
        met |= {one.rule} if one.is_met else set()
    return met
