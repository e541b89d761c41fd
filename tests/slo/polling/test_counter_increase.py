"""From counters to events in slots."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.polling import increase
from dbre.capabilities.slo.polling.increase import SKEW_SLOTS, CounterPair, Excess, ReadSeries


def series(values: dict[int, float], **labels: str) -> ReadSeries:
    return ReadSeries(labels={"job": "api", "instance": "a", **labels}, values=values)


def counted(bad: list[ReadSeries], total: list[ReadSeries], *, until: int, **options) -> list[tuple[int, str, Counts]]:
    pair = CounterPair(**options)
    pair.prime([_cut(one) for one in bad], [_cut(one) for one in total])
    return pair.advance(bad, total, range(10, until + 1, 10))


def _cut(one: ReadSeries) -> ReadSeries:
    return ReadSeries(labels=one.labels, values={at: value for at, value in one.values.items() if at <= 0})


def test_the_increase_between_two_boundaries_belongs_to_the_slot_between_them() -> None:
    found = counted([series({0: 1, 10: 1, 20: 3}, code="500")], [series({0: 100, 10: 104, 20: 110})], until=20)
    assert found == [(0, "", Counts(good=4)), (1, "", Counts(good=4, bad=2))]


def test_a_counter_that_begins_again_counts_from_zero_and_each_series_for_itself() -> None:
    total = [series({0: 100, 10: 3}), series({0: 50, 10: 55}, instance="b")]
    assert counted([], total, until=10) == [(0, "", Counts(good=3 + 5))]


def test_the_first_error_ever_is_counted_though_its_series_was_not_there_before() -> None:
    found = counted([series({20: 1, 30: 1}, code="500")], [series({0: 9, 10: 10, 20: 12, 30: 12})], until=30)
    assert found == [(0, "", Counts(good=1)), (1, "", Counts(good=1, bad=1))]


def test_a_process_that_is_new_does_not_pour_its_whole_past_into_one_slot() -> None:
    old = series({0: 5, 10: 6, 20: 7})
    new = series({10: 1_000_000, 20: 1_000_002}, instance="b")
    failing = series({10: 900_000, 20: 900_001}, instance="b", code="500")
    found = counted([failing], [old, new], until=20)
    assert found == [(0, "", Counts(good=1)), (1, "", Counts(good=2, bad=1))]


def test_a_gap_loses_nothing_what_was_counted_meanwhile_lies_where_it_was_seen_again() -> None:
    assert counted([], [series({0: 5, 40: 25})], until=50) == [(3, "", Counts(good=20))]


def test_groups_are_told_apart_by_their_label() -> None:
    total = [series({0: 0, 10: 4}, tenant="a"), series({0: 0, 10: 2}, tenant="b"), series({0: 0, 10: 1})]
    found = counted([], total, until=10, group_label="tenant")
    assert found == [(0, "", Counts(good=1)), (0, "a", Counts(good=4)), (0, "b", Counts(good=2))]


def test_an_error_that_is_scraped_before_its_total_waits_for_it() -> None:
    found = counted([series({0: 0, 10: 2, 20: 2}, job="other")], [series({0: 0, 10: 0, 20: 5})], until=20)
    assert found == [(1, "", Counts(good=3, bad=2))]


def test_errors_without_any_total_are_never_dropped_and_are_told() -> None:
    pair = CounterPair(excess={"": Excess(7, 0)})
    ends = range(10, 10 * (SKEW_SLOTS + 2), 10)
    assert pair.advance([], [series(dict.fromkeys(ends, 1))], ends) == [(SKEW_SLOTS, "", Counts(bad=7))]
    assert (pair.contradictions, pair.excess) == (7, {})


def test_values_that_are_no_counts_are_left_out() -> None:
    assert counted([], [series({0: 1, 10: float("inf"), 20: -1, 30: 4})], until=30) == [(2, "", Counts(good=3))]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost_or_invented_over_restarts_and_gaps(steps: list[tuple[int, int, bool, bool]]) -> None:
    """Good and bad events of one process that restarts and is sometimes not scraped; a restart resets both counters."""
    good = bad = all_good = all_bad = 0
    totals, errors = {0: 0.0}, {0: 0.0}
    pending_good = pending_bad = 0
    for index, (more_good, more_bad, restarts, is_seen) in enumerate(steps, start=1):
        if restarts and totals.get((index - 1) * 10) is not None:  # what was seen before a restart is known
            good = bad = 0
            pending_good = pending_bad = 0
        good, bad = good + more_good, bad + more_bad
        pending_good, pending_bad = pending_good + more_good, pending_bad + more_bad
        if is_seen:
            totals[index * 10], errors[index * 10] = good + bad, bad
            all_good, all_bad = all_good + pending_good, all_bad + pending_bad
            pending_good = pending_bad = 0
    found = counted([series(errors, code="5")], [series(totals)], until=len(steps) * 10)
    whole = sum((one for _, _, one in found), Counts())
    # A counter that has overtaken its old value when it is seen again hides its reset, as it does from Prometheus.
    assert whole.total <= all_good + all_bad
    assert Fraction(whole.bad) <= all_bad


def test_series_of_processes_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(increase, "SPARE_SERIES", 100)
    pair, total = CounterPair(), 0
    for number in range(500):  # each minute another process, as deployments make them
        at = 1_000 + 60 * number
        fresh = ReadSeries(labels={"instance": f"pod-{number}"}, values={at: 0.0, at + 10: 3.0})
        steady = ReadSeries(labels={"instance": "old"}, values={at: 10.0 * number, at + 10: 10.0 * number + 5})
        total += sum(counts.good for _, _, counts in pair.advance([], [fresh, steady], [at, at + 10]))
    assert total == 500 * 3 + 499 * 10 + 5
    assert len(pair._total.last) <= 104
    assert len(pair._total.targets) <= 104
