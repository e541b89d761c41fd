"""The in-memory series against the plainest possible model: a dictionary of slots."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.counts import NOTHING, Counts
from dbre.capabilities.slo.series import SlotSeries

counts = st.builds(Counts, st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(0, 1))
additions = st.lists(st.tuples(st.integers(0, 60), counts, st.integers(1, 12)), max_size=40)
slots = st.integers(-5, 80)


def build(rows):
    series, model = SlotSeries(), defaultdict(lambda: NOTHING)
    for slot, one, length in rows:
        series.add(slot, one, length=length)
        for each in range(slot, slot + length):
            model[each] += one
    return series, {slot: one for slot, one in model.items() if one}


def total(model, start, end):
    return sum((one for slot, one in model.items() if start <= slot < end), NOTHING)


@given(additions, slots, slots)
def test_a_window_is_the_sum_of_its_slots_in_whatever_order_events_came(rows, start, end):
    series, model = build(rows)
    assert series.window(start, end) == total(model, start, end)


@given(additions, slots, slots, slots)
def test_windows_add_up(rows, one, two, three):
    series, _ = build(rows)
    low, middle, high = sorted((one, two, three))
    assert series.window(low, middle) + series.window(middle, high) == series.window(low, high)


@given(additions)
def test_equal_neighbours_are_one_run_and_runs_never_overlap(rows):
    series, model = build(rows)
    runs = list(series.runs())
    assert {slot: run.counts for run in runs for slot in range(run.start, run.end)} == model
    for before, after in pairwise(runs):
        assert before.end <= after.start
        assert not (before.end == after.start and before.counts == after.counts)


@given(additions, slots, slots)
def test_runs_are_cut_to_what_is_asked_for(rows, start, end):
    series, model = build(rows)
    seen = {slot: run.counts for run in series.runs(start, end) for slot in range(run.start, run.end)}
    assert seen == {slot: one for slot, one in model.items() if start <= slot < end}


@given(additions, slots, slots, slots)
def test_forgetting_changes_no_window_behind_it(rows, before, start, end):
    series, model = build(rows)
    series.forget_before(before)
    start, end = sorted((max(start, before), max(end, before)))
    assert series.window(start, end) == total(model, start, end)
    series.add(end, Counts(good=1))
    assert series.window(start, end + 1) == total(model, start, end + 1) + Counts(good=1)


@given(additions, st.integers(-100, 100), slots, slots)
def test_a_shift_moves_everything(rows, by, start, end):
    series, model = build(rows)
    series.shift(by)
    assert series.window(start + by, end + by) == total(model, start, end)


@given(additions, slots, slots)
def test_a_copy_is_cut_and_independent(rows, start, end):
    series, model = build(rows)
    other = series.copy(start, end)
    assert other.window(-100, 200) == total(model, start, end)
    other.add(0, Counts(bad=5))
    assert series.window(-100, 200) == total(model, -100, 200)


@given(additions, slots, slots)
def test_bad_events_in_a_row_are_never_overcounted(rows, start, end):
    series, model = build(rows)
    expected = 0
    for slot in range(end - 1, start - 1, -1):
        if model.get(slot, NOTHING).good:
            break
        expected += model.get(slot, NOTHING).bad
    assert series.trailing_bad(start, end) == expected


@given(additions, slots)
def test_the_newest_valid_slot_is_found(rows, end):
    series, model = build(rows)
    assert series.last_valid_slot(end) == max((slot for slot, one in model.items() if one.total and slot < end), default=None)


def test_a_healthy_month_is_one_run():
    series = SlotSeries()
    for slot in range(259_200):
        series.add(slot, Counts(good=1))
    assert len(series) == 1
    assert series.window(0, 259_200) == Counts(good=259_200)


def test_late_events_into_a_long_past_cost_one_summing_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    series, summed = SlotSeries(), 0
    for slot in range(3_000):
        series.add(slot, Counts(good=slot % 7 + 1, bad=slot % 2))
    real = SlotSeries._append_sums

    def counting(one: SlotSeries) -> None:
        nonlocal summed
        summed += 1
        real(one)

    monkeypatch.setattr(SlotSeries, "_append_sums", counting)
    for slot in range(10, 1_010):
        series.add(slot, Counts(good=1))
    series.add(3_000, Counts(good=5))  # behind all others, before anybody asked
    assert series.window(0, 3_001) == Counts(good=sum(slot % 7 + 1 for slot in range(3_000)) + 1_005, bad=1_500)
    assert series.bad_and_total(10, 11) == (0, 5)
    assert summed < 2 * 3_001
    series.add(2, Counts(bad=1))
    series.forget_before(2)
    assert series.window(0, 10).bad == 1 + sum(slot % 2 for slot in range(2, 10))
