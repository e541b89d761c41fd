"""An SLO explained, in English and Spanish, also where nothing is scheduled and slices count."""

from decimal import Decimal
from string import Formatter

import pytest
from slo_kit import cluster, definition

from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.budgeting_method import TimeSlices
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.explanation import detection_rows, explain
from dbre.capabilities.slo.explanation_words import WORDS, Language
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.series import SlotSeries, slot_start
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.sources import EventSource, PrometheusSource, ServiceSource, SqlSource

END = 179_000_000
SIX = Counts(6)
EVENTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource())


def status_of(one: Definition, *, counts: Counts = SIX, interval_ms: int = 0) -> SloStatus:
    series = SlotSeries()
    series.add(END - 30 * 8640, counts, length=30 * 8640)
    judged = None
    if one.slices is not None:
        judged = SliceSeries(one.slices)
        judged.follow(series, END)
    return assess(
        Measured(
            instance=SloInstance(definition=one, cluster=cluster()), series=series, recent=series, interval_ms=interval_ms,
            silent_seconds=0, lost_after_seconds=60, judged=judged, judged_recent=judged,
        ),
        slot_start(END - 1),
    )  # fmt: skip


def test_every_sentence_is_there_in_each_language_with_the_same_values() -> None:
    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}

    english, spanish = WORDS[Language.ENGLISH], WORDS[Language.SPANISH]
    assert english.keys() == spanish.keys()
    for key, text in english.items():
        assert fields(text) >= fields(spanish[key]), key
        assert spanish[key] != text or key == "errors", key


def test_traffic_that_comes_when_it_comes_is_explained_at_its_pace() -> None:
    one = definition(sli=EVENTS)
    status = status_of(one)  # 36 a minute
    times = dict(detection_rows(status, one))[Decimal(1)]
    assert times["page-1h"] == pytest.approx(32 * 10 / 6, rel=0.001)  # 31.1 of 2160 requests are 14.4 times too many
    text = explain(status, one)
    assert "for 99.9 % of all events" in text
    assert "Each bad one of these events costs 0.06 % of the budget" in text
    assert "One probe each" not in text


def test_events_that_do_not_count_are_no_probes_and_no_fault_of_ours() -> None:
    text = explain(status_of(one := definition(sli=EVENTS), counts=Counts(6, excluded=2)), one)
    assert f"0 events that were missed, {2 * 30 * 8640} that say nothing of the service" in text
    assert "login" not in text


def test_no_traffic_at_all_has_the_times_of_the_book() -> None:
    one = definition(sli=EVENTS)
    status = status_of(one, counts=Counts(missed=1))
    assert float(dict(detection_rows(status, one))[Decimal(1)]["page-1h"] or 0) == 51.84
    assert "Nothing has been measured" in explain(status, one)


def test_slices_are_counted_as_slices() -> None:
    one = definition(sli=EVENTS, slices=TimeSlices(seconds=60, target=Decimal("0.95")))
    text = explain(status_of(one), one)
    assert "43.2 slices of 1m" in text
    assert "43200 good and 0 bad of 43200 slices of 1m" in text
    ratio = definition(sli=EVENTS, slices=TimeSlices(seconds=60, target=None))
    text = explain(status_of(ratio, counts=Counts(19, 1)), ratio)
    assert "43.2 slices of 1m" in text
    assert "4924800 good and 259200 bad of 5184000 events (95.0000 % good)" in text
    assert "costs 2.31 % of the budget" in text


@pytest.mark.parametrize(
    ("sli", "clause"),
    [
        (Sli(kind=SliKind.AVAILABILITY), "las sondas de escritura acaban bien"),
        (Sli(kind=SliKind.LATENCY, limit_ms=200), "las sondas de escritura acaban bien en 200ms"),
        (Sli(kind=SliKind.FRESHNESS, limit_ms=5000), "los datos de las réplicas tienen como máximo 5.0s"),
        (EVENTS, "las peticiones acaban bien"),
        (Sli(kind=SliKind.LATENCY, limit_ms=100, source=EventSource()), "las peticiones acaban bien en 100ms"),
        (Sli(kind=SliKind.AVAILABILITY, source=PrometheusSource(prometheus="p", bad="a", total="b")), "cuenta Prometheus p"),
        (Sli(kind=SliKind.AVAILABILITY, source=SqlSource(query="q", limit=30)), "como máximo 30"),
        (Sli(kind=SliKind.AVAILABILITY, source=SqlSource(query="q", limit=None)), "lo que cuenta una consulta"),
        (Sli(kind=SliKind.AVAILABILITY, source=ServiceSource(service="loki")), "las comprobaciones de loki"),
    ],
)
def test_spanish_says_all_of_it_in_spanish(sli: Sli, clause: str) -> None:
    one = definition(sli=sli)
    text = explain(status_of(one, interval_ms=10_000 if sli.is_probed else 0), one, language=Language.SPANISH)
    assert clause in text
    assert "Promesa:" in text
    assert "presupuesto gastado al primer aviso" in text
    for english in ("budget", "never", "probe ", "errors", "Now:", "window"):
        assert english not in text
