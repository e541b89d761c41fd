import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.schedule import SlotGrid, phase_of, spread
from dbre.core.fleet import EndpointPurpose

moments = st.floats(0, 1e9)
intervals = st.floats(0.1, 3600)


@given(moments, moments, intervals, st.floats(0, 0.999))
def test_the_first_slot_from_a_moment_is_the_earliest_that_is_not_before_it(anchor, moment, interval, share):
    grid = SlotGrid(anchor=anchor, interval=interval, phase=share * interval)
    k = grid.first_from(moment)
    assert grid.due(k) >= moment
    assert grid.due(k - 1) < moment


@given(st.integers(0, 10**9), intervals)
def test_slots_do_not_drift_however_long_the_prober_runs(k, interval):
    grid = SlotGrid(anchor=1000.0, interval=interval, phase=0.3 * interval)
    assert grid.due(k + 1) - grid.due(k) == pytest.approx(interval, abs=1e-3)
    assert grid.due(k) == pytest.approx(1000.0 + (k + 0.3) * interval, rel=1e-12)


@given(st.text(), st.sampled_from(EndpointPurpose), intervals)
def test_a_phase_lies_within_the_interval_and_is_the_same_each_time(name, purpose, interval):
    phase = phase_of(name, purpose, interval=interval)
    assert 0 <= phase < interval
    assert phase == phase_of(name, purpose, interval=interval)


def test_many_clusters_are_spread_evenly_over_the_interval():
    tenths = [0] * 10
    for n in range(5000):
        tenths[int(spread(f"cluster-{n}") * 10)] += 1
    assert min(tenths) > 400
    assert max(tenths) < 600


@given(st.text(), intervals)
def test_a_replica_is_asked_a_tenth_of_an_interval_after_the_write(name, interval):
    write = phase_of(name, EndpointPurpose.WRITE, interval=interval)
    replica = phase_of(name, EndpointPurpose.REPLICA, interval=interval)
    assert (replica - write) % interval == pytest.approx(interval / 10, rel=1e-6)
