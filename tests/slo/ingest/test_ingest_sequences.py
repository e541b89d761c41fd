"""Which numbered batches are known."""

from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.ingest import sequences
from dbre.capabilities.slo.ingest.sequences import WINDOW, Sequences


@given(st.lists(st.integers(0, WINDOW - 1), unique=True, max_size=80))
def test_numbers_within_the_window_are_known_exactly_when_they_were_added(numbers):
    known = Sequences()
    for one in numbers:
        assert not known.knows("a", one)
        known.add("a", one)
    assert [one for one in range(WINDOW) if known.knows("a", one)] == sorted(numbers)
    assert not known.knows("b", 0)


def test_what_lies_too_far_behind_is_taken_for_known():
    known = Sequences()
    known.add("a", 5_000)
    assert known.knows("a", 5_000 - WINDOW)
    assert not known.knows("a", 5_000 - WINDOW + 1)
    assert not known.knows("a", 5_001)
    known.add("a", 10**12)
    assert not known.knows("a", 10**12 - 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3_000)), max_size=50))
def test_a_snapshot_knows_the_same(added):
    known, copy = Sequences(), Sequences()
    for producer, number in added:
        known.add(producer, number)
    copy.adopt(known.snapshot())
    for producer, number in [*added, ("a", 7), ("d", 7)]:
        assert copy.knows(producer, number) == known.knows(producer, number)


def test_those_that_sent_nothing_for_the_longest_time_are_forgotten(monkeypatch):
    monkeypatch.setattr(sequences, "MAX_STREAMS", 3)
    known = Sequences()
    for producer in ("a", "b", "c", "a", "d"):
        known.add(producer, 1)
    assert [known.knows(one, 1) for one in "abcd"] == [True, False, True, True]
