from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.timekeeping import StallLog, WallAnchor
from dbre.testing.clock import FakeClock


async def test_time_that_passes_on_both_clocks_is_no_step():
    clock = FakeClock()
    anchor, start = WallAnchor(clock), clock.now()
    for _ in range(100):
        await clock.advance(0.25)
        assert anchor.observe() is None
    assert anchor.at(clock.monotonic()) == start + timedelta(seconds=25)


@pytest.mark.parametrize("seconds", [1.5, 3600.0, -1.5, -86_400.0])
async def test_a_step_is_told_once_with_its_size_and_followed(seconds):
    clock = FakeClock()
    anchor = WallAnchor(clock)
    await clock.advance(10)
    clock.step_wall(seconds)
    assert anchor.observe() == pytest.approx(seconds)
    assert anchor.observe() is None
    assert abs(anchor.at(clock.monotonic()) - clock.now()) < timedelta(milliseconds=1)


async def test_a_slewed_wall_clock_is_followed_without_a_step():
    clock = FakeClock()
    anchor = WallAnchor(clock)
    for _ in range(4000):  # 500 ppm over a quarter of an hour, NTP's fastest
        clock.step_wall(0.25 * 500e-6)
        await clock.advance(0.25, turns=0)
        assert anchor.observe() is None
    assert abs((anchor.at(clock.monotonic()) - clock.now()).total_seconds()) < 0.03


def test_a_late_wake_up_within_the_tolerance_is_no_stall():
    log = StallLog(100.0, tolerance=1.0)
    log.sleeps_until(100.25)
    assert log.woke(101.2) == 0
    assert not log.overlaps(100.0, 101.2)


def test_what_overlaps_a_stall_is_not_believed_and_what_does_not_is():
    log = StallLog(100.0, tolerance=1.0)
    log.sleeps_until(100.25)
    assert log.woke(110.25) == pytest.approx(10.0)
    log.sleeps_until(110.5)
    assert log.overlaps(99.0, 110.3)
    assert log.overlaps(105.0, 106.0)
    assert not log.overlaps(99.0, 100.2)
    assert not log.overlaps(110.3, 110.6)


def test_a_stall_is_seen_before_the_periodic_task_woke():
    log = StallLog(100.0, tolerance=1.0)
    log.sleeps_until(100.25)
    assert log.overlaps(100.1, 130.0)  # asked by a probe whose answer was handled first


@given(st.lists(st.floats(0.01, 30.0), min_size=1, max_size=30), st.floats(0.1, 2.0))
def test_every_stall_longer_than_the_tolerance_is_remembered(delays, tolerance):
    log, now = StallLog(0.0, tolerance=tolerance), 0.0
    for delay in delays:
        log.sleeps_until(now + 0.25)
        woke = now + 0.25 + delay
        assert (log.woke(woke) > 0) == (woke - (now + 0.25) > tolerance)
        log.sleeps_until(woke)
        assert log.overlaps(now + 0.25, woke) == (woke - (now + 0.25) > tolerance)
        now = woke
