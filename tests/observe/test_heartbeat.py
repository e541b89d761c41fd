from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.heartbeat import Heartbeat

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50))
def test_sequences_grow_however_the_wall_clock_jumps(jumps):
    heartbeat, last = Heartbeat(), 0
    for n, seconds in enumerate(jumps):
        sequence = heartbeat.send(NOW + timedelta(seconds=seconds), float(n))
        assert sequence > last
        last = sequence


def test_a_restart_continues_above_the_numbers_of_the_process_before():
    before, after = Heartbeat(), Heartbeat()
    old = before.send(NOW, 0.0)
    assert after.send(NOW + timedelta(seconds=1), 0.0) > old


def test_a_clock_set_back_over_a_restart_is_overcome_by_the_number_in_the_database():
    before, after = Heartbeat(), Heartbeat()
    old = before.send(NOW, 0.0)
    after.send(NOW - timedelta(days=1), 0.0)
    after.saw(old)
    assert after.send(NOW - timedelta(days=1), 1.0) == old + 1


def test_age_is_counted_from_the_moment_of_sending():
    heartbeat = Heartbeat()
    first = heartbeat.send(NOW, 100.0)
    heartbeat.send(NOW + timedelta(seconds=10), 110.0)
    assert heartbeat.age(first, 130.0) == pytest.approx(30.0)


def test_the_age_of_a_number_that_this_process_did_not_send_is_unknown():
    heartbeat = Heartbeat()
    heartbeat.send(NOW, 100.0)
    assert heartbeat.age(12345, 101.0) is None


def test_old_numbers_are_forgotten_so_that_memory_is_bounded():
    heartbeat = Heartbeat()
    first = heartbeat.send(NOW, 0.0)
    for n in range(5000):
        heartbeat.send(NOW, float(n))
    assert heartbeat.age(first, 5000.0) is None


def test_a_number_at_the_end_of_64_bits_does_not_poison_the_sequence():
    heartbeat = Heartbeat()
    heartbeat.saw(2**63 - 1)
    assert heartbeat.send(NOW, 0.0) < 2**62


def test_an_unknown_number_below_all_of_ours_is_at_least_as_old_as_the_oldest_of_them():
    heartbeat = Heartbeat()
    assert heartbeat.least_age(5, 100.0) is None  # nothing to compare with
    first = heartbeat.send(NOW, 100.0)
    heartbeat.send(NOW + timedelta(seconds=10), 110.0)
    assert heartbeat.least_age(first - 1, 130.0) == pytest.approx(30.0)
    assert heartbeat.least_age(first, 130.0) is None  # its age is known
    assert heartbeat.least_age(first + 1, 130.0) is None  # another writer's: it may be new


def test_a_number_that_was_forgotten_is_still_known_to_be_old():
    heartbeat = Heartbeat()
    first = heartbeat.send(NOW, 0.0)
    for n in range(5000):
        heartbeat.send(NOW, float(n))
    assert heartbeat.least_age(first, 5000.0) == pytest.approx(4096.0)
