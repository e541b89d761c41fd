"""From an observation to an event, and from silence to a state."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.sli import Sli, SliKind, classify
from dbre.capabilities.slo.telemetry_state import TelemetryState, telemetry_state
from dbre.core.fleet import EndpointPurpose
from dbre.ports.probe import Outcome, ProbeObservation

AVAILABLE = Sli(kind=SliKind.AVAILABILITY, purpose=EndpointPurpose.WRITE)
FAST = Sli(kind=SliKind.LATENCY, purpose=EndpointPurpose.WRITE, limit_ms=100)
FRESH = Sli(kind=SliKind.FRESHNESS, purpose=EndpointPurpose.REPLICA, limit_ms=5000)


def seen(outcome, *, purpose=EndpointPurpose.WRITE, latency=None, staleness=None, at_least=None):
    return ProbeObservation(
        cluster="orders",
        purpose=purpose,
        scheduled_at=datetime(2026, 1, 1, tzinfo=UTC),
        interval_seconds=10,
        outcome=outcome,
        latency_seconds=latency,
        staleness_seconds=staleness,
        least_staleness_seconds=at_least,
    )


@pytest.mark.parametrize("sli", [AVAILABLE, FAST, FRESH])
def test_missed_and_excluded_are_no_valid_events_and_bad_is_bad_for_every_kind(sli):
    assert classify(sli, seen(Outcome.MISSED, purpose=sli.purpose)) == Counts(missed=1)
    assert classify(sli, seen(Outcome.EXCLUDED, purpose=sli.purpose)) == Counts(excluded=1)
    assert classify(sli, seen(Outcome.BAD, purpose=sli.purpose)) == Counts(bad=1)
    assert classify(sli, seen(Outcome.GOOD, purpose=EndpointPurpose.READ)) == Counts()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, Counts(good=1)),
        (0.1, Counts(good=1)),
        (0.1000001, Counts(good=1)),  # a tenth of a microsecond is no measurement
        (0.100001, Counts(bad=1)),
        (math.inf, Counts(bad=1)),
        (math.nan, Counts(missed=1)),
        (-0.5, Counts(missed=1)),
        (None, Counts(missed=1)),
    ],
)
def test_a_limit_is_met_up_to_and_including_its_value(seconds, expected):
    assert classify(FAST, seen(Outcome.GOOD, latency=seconds)) == expected


def test_freshness_looks_at_the_age_and_an_unknown_age_says_nothing():
    assert classify(FRESH, seen(Outcome.GOOD, purpose=EndpointPurpose.REPLICA, staleness=5.0)) == Counts(good=1)
    assert classify(FRESH, seen(Outcome.GOOD, purpose=EndpointPurpose.REPLICA, staleness=5.1)) == Counts(bad=1)
    assert classify(FRESH, seen(Outcome.GOOD, purpose=EndpointPurpose.REPLICA)) == Counts(missed=1)


@pytest.mark.parametrize(("at_least", "expected"), [(4.0, Counts(missed=1)), (5.0, Counts(missed=1)), (5.1, Counts(bad=1))])
def test_data_that_is_provably_too_old_is_bad_though_its_age_is_unknown(at_least, expected):
    assert classify(FRESH, seen(Outcome.GOOD, purpose=EndpointPurpose.REPLICA, at_least=at_least)) == expected


@given(st.sampled_from(list(Outcome)), st.floats() | st.none(), st.sampled_from([AVAILABLE, FAST, FRESH]))
def test_every_observation_is_exactly_one_event(outcome, seconds, sli):
    found = classify(sli, seen(outcome, purpose=sli.purpose, latency=seconds, staleness=seconds))
    assert found.observed == 1


def test_another_threshold_is_another_indicator():
    slower = Sli(kind=SliKind.LATENCY, purpose=EndpointPurpose.WRITE, limit_ms=101)
    assert len({AVAILABLE.hash, FAST.hash, FRESH.hash, slower.hash}) == 4


def state(recent, *, silent=0.0, row=0, source=True):
    return telemetry_state(recent, trailing_bad=row, silent_seconds=silent, lost_after_seconds=60, has_source=source)


def test_an_outage_is_no_loss_of_telemetry_and_the_other_way_round():
    assert state(Counts(good=3, bad=3), row=3) is TelemetryState.OK
    assert state(Counts(bad=6), row=6) is TelemetryState.SOURCE_DOWN
    assert state(Counts(missed=6), silent=60) is TelemetryState.TELEMETRY_LOST
    assert state(Counts(excluded=6), silent=61) is TelemetryState.TELEMETRY_LOST
    assert state(Counts(), silent=600) is TelemetryState.TELEMETRY_LOST


def test_before_anything_was_due_there_is_no_traffic():
    assert state(Counts(), silent=5) is TelemetryState.NO_TRAFFIC
    assert state(Counts(), silent=600, source=False) is TelemetryState.NO_TRAFFIC
