"""The page is judged by the parsers of prometheus_client, the strict OpenMetrics one included."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Histogram, Info, Summary
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from dbre.capabilities.observe.cleaning import clean_family
from dbre.capabilities.observe.exposition import Exposition, Source
from dbre.ports.statistics import MetricFamily, MetricKind, Sample
from dbre.testing.clock import FakeClock

OPEN = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


def gauge(name: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, f"help of {name}", labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def samples(page: bytes, *, is_open: bool = False) -> dict[tuple[str, frozenset], float]:
    families = list((parse_openmetrics if is_open else parse_text)(page.decode()))
    found = [((s.name, frozenset(s.labels.items())), s.value) for family in families for s in family.samples]
    assert len(dict(found)) == len(found), "a sample appears twice"
    names = [family.name for family in families]
    assert len(set(names)) == len(names), "a family appears twice"
    return {key: value for key, value in found if key[0] != "dbre_exporter_dropped_samples_total"}


def dropped(exposition: Exposition) -> dict[str, float]:
    page, _ = exposition.render()
    return {
        s.labels["reason"]: s.value
        for family in parse_text(page.decode())
        for s in family.samples
        if s.name == "dbre_exporter_dropped_samples_total"
    }


def test_two_instances_share_one_family():
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [gauge("pg_size", 1, instance="a")])
    exposition.put(Source("b", "x"), [gauge("pg_size", 2, instance="b")])
    page, _ = exposition.render()
    assert page.count(b"# HELP pg_size") == page.count(b"# TYPE pg_size gauge") == 1
    assert samples(page) == {
        ("pg_size", frozenset({("instance", "a")})): 1,
        ("pg_size", frozenset({("instance", "b")})): 2,
    }


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (OPEN, True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("text/html, application/openmetrics-text;q=0", False),
        (";;;,,=", False),
    ],
)
def test_the_format_follows_the_accept_header(accept, is_open):
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [CounterMetricFamily("pg_commits", "commits", value=3)])
    page, content_type = exposition.render(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4")
    assert page.endswith(b"# EOF\n") == is_open
    assert samples(page, is_open=is_open) == {("pg_commits_total", frozenset()): 3}


async def test_samples_vanish_after_their_lifetime_or_become_what_was_announced():
    clock = FakeClock()
    exposition = Exposition(clock)
    exposition.put(Source("a", "x"), [gauge("pg_size", 1)], lifetime_seconds=30)
    exposition.put(Source("a", "up"), [gauge("dbre_up", 1)], lifetime_seconds=30, afterwards=[gauge("dbre_up", 0)])
    exposition.put(Source("a", "when"), [gauge("last_success", 1234)])
    await clock.advance(29.9)
    assert samples(exposition.render()[0])["pg_size", frozenset()] == 1
    await clock.advance(0.2)
    page, _ = exposition.render()
    assert samples(page) == {("dbre_up", frozenset()): 0, ("last_success", frozenset()): 1234}
    assert b"pg_size" not in page  # no header without samples either


def test_the_same_bytes_come_again_while_nothing_changed():
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [gauge("pg_size", 1)])
    assert exposition.render()[0] is exposition.render()[0]
    exposition.put(Source("a", "x"), [gauge("pg_size", 2)])
    assert samples(exposition.render()[0]) == {("pg_size", frozenset()): 2}


def test_a_source_replaces_all_that_it_gave_and_remove_takes_it_away():
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [gauge("one", 1), gauge("two", 2)])
    exposition.put(Source("a", "x"), [gauge("two", 3)])
    assert samples(exposition.render()[0]) == {("two", frozenset()): 3}
    exposition.remove(Source("a", "x"))
    assert samples(exposition.render()[0]) == {}
    exposition.put(Source("b", "x"), [CounterMetricFamily("two", "now a counter", value=1)])  # the name is free again
    assert samples(exposition.render()[0]) == {("two_total", frozenset()): 1}


def test_clashing_names_are_left_out_and_counted():
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [CounterMetricFamily("pg_reads", "a counter", value=1)])
    exposition.put(Source("b", "x"), [gauge("pg_reads", 2)])
    exposition.put(Source("c", "x"), [gauge("pg_reads_total", 3)])
    page, _ = exposition.render(OPEN)
    assert samples(page, is_open=True) == {("pg_reads_total", frozenset()): 1}
    assert dropped(exposition)["name_clash"] == 2


def test_duplicates_within_a_family_and_between_the_collectors_of_an_instance_are_left_out_and_counted():
    twice = gauge("pg_size", 1, db="x")
    twice.add_metric(["x"], 2)
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "one"), [twice])
    exposition.put(Source("a", "two"), [gauge("pg_size", 3, db="x"), gauge("pg_size", 4, db="y")])
    page, _ = exposition.render()
    assert samples(page) == {("pg_size", frozenset({("db", "x")})): 1}
    assert dropped(exposition)["duplicate"] == 3


def test_registries_of_prometheus_client_can_be_shown_in_both_formats():
    registry = CollectorRegistry()
    Counter("requests", "r", ["code"], registry=registry).labels("200").inc()
    Histogram("latency_seconds", "l", registry=registry).observe(0.2)
    Summary("size_bytes", "s", registry=registry).observe(3)
    Info("build", "b", registry=registry).info({"version": "1"})
    Enum("state", "e", states=["on", "off"], registry=registry)
    exposition = Exposition(FakeClock())
    exposition.put(Source("process", "0"), registry.collect())
    plain, _ = exposition.render()
    openmetrics, _ = exposition.render(OPEN)
    assert samples(plain) == samples(openmetrics, is_open=True)
    assert samples(plain)["latency_seconds_count", frozenset()] == 1


hostile = st.text(st.characters(), max_size=30)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(hostile, st.sampled_from(MetricKind), hostile, st.dictionaries(hostile, hostile, max_size=3), st.floats()),
        max_size=8,
    )
)
def test_whatever_a_database_says_the_page_can_be_parsed(rows):
    exposition = Exposition(FakeClock())
    for n, (name, kind, text, labels, value) in enumerate(rows):
        family = MetricFamily(name=name, kind=kind, help=text, samples=(Sample(value, labels),))
        cleaned = clean_family(family, labels={"cluster": "c", "instance": f"i{n % 2}"})
        exposition.put(Source(f"i{n % 2}", str(n)), [cleaned.metric])
    plain, openmetrics = samples(exposition.render()[0]), exposition.render(OPEN)[0]
    assert openmetrics.decode().count("\n# EOF\n") == 1
    assert len(plain) + sum(dropped(exposition).values()) == len(rows)


def test_hostile_label_values_come_through_escaped_and_encodable():
    labels = {"db": 'a"b\\c\nd', "raw": "x\ud800\x1b[2J\u202e", "__name__": "n", "instance": "theirs"}
    family = MetricFamily(name="pg_size", kind=MetricKind.GAUGE, help="h\n\ud800", samples=(Sample(1.0, labels),))
    exposition = Exposition(FakeClock())
    exposition.put(Source("a", "x"), [clean_family(family, labels={"instance": "ours"}).metric])
    page, _ = exposition.render()
    (found,) = samples(page)
    assert dict(found[1]) == {
        "db": 'a"b\\c\nd',
        "raw": "x\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}",
        "exported__name__": "n",
        "exported_instance": "theirs",
        "instance": "ours",
    }


def test_what_is_no_number_is_left_out():
    values = ["12.5", None, "abc", 10**400, float("nan")]
    family = MetricFamily(
        name="pg_x", kind=MetricKind.GAUGE, help="", samples=tuple(Sample(v, {"n": str(n)}) for n, v in enumerate(values))
    )
    cleaned = clean_family(family, labels={})
    assert cleaned.invalid_count == 3
    assert len(cleaned.metric.samples) == 2
