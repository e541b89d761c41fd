"""The graph of an alert rule: peaks survive, gaps stay gaps."""

from datetime import timedelta
from fractions import Fraction

from slo_kit import START, World, definition

from dbre.capabilities.slo.burn_history import burn_history
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.reading import burn_histories
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.ports.probe import Outcome


def test_a_short_peak_between_two_points_is_in_the_graph():
    one, now = definition(), START + timedelta(hours=3)
    series, first = SlotSeries(), slot_at(START)
    for offset in range(3 * 360):
        series.add(first + offset, Counts(bad=1) if offset == 500 else Counts(good=1))
    rule = next(rule for rule in one.rules_for(2_592_000) if rule.name == "page-1h")
    history = burn_history(series, one, rule, now, limit=20)
    assert len(history.points) == 20
    allowed = 1 - Fraction(one.target)
    assert max(point.short for point in history.points if point.short is not None) == Fraction(1, 30) / allowed
    assert max(point.long for point in history.points if point.long is not None) == Fraction(1, 360) / allowed


def test_where_nothing_was_measured_the_line_has_a_gap():
    one, now = definition(), START + timedelta(hours=3)
    series, first = SlotSeries(), slot_at(START)
    for offset in (*range(100), *range(900, 1080)):
        series.add(first + offset, Counts(good=1))
    rule = next(rule for rule in one.rules_for(2_592_000) if rule.name == "page-1h")
    shorts = [point.short for point in burn_history(series, one, rule, now).points]
    assert shorts[0] == 0
    assert None in shorts
    assert shorts[-1] == 0


async def test_histories_come_from_the_store_with_more_past_than_the_window(store):
    world = World(store)
    await world.probe(Outcome.GOOD, times=30)
    await world.probe(Outcome.BAD, times=3)
    where = (world.definitions, world.fleet, world.clock.now())
    found = await burn_histories(store, *where, slo="orders-writes", cluster="orders")
    assert [one.rule.name for one in found][:1] == ["page-1h"]
    peak = max(point.short for point in found[0].points if point.short is not None)
    assert peak > found[0].rule.factor
