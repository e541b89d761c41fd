import itertools
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.tracking import EndpointTracker
from dbre.core.fleet import Address, Endpoint, EndpointPurpose
from dbre.ports.probe import Outcome, ProbeObservation
from dbre.ports.session import Role

ENDPOINT = Endpoint(cluster="orders", purpose=EndpointPurpose.WRITE, addresses=(Address("db", 5432),))


def slot(outcome: Outcome, *, fresh: bool = False, instance: str | None = None, role: Role | None = None) -> ProbeObservation:
    return ProbeObservation(
        cluster="orders",
        purpose=EndpointPurpose.WRITE,
        scheduled_at=datetime(2026, 11, 21, tzinfo=UTC),
        interval_seconds=10.0,
        outcome=outcome,
        latency_seconds=None,
        instance=instance,
        role=role,
        fresh=fresh,
    )


def kinds(tracker: EndpointTracker, *slots: ProbeObservation, system_id: str | None = None) -> list[str]:
    return [change.kind for one in slots for change in tracker.follow(one, system_id=system_id)]


def test_one_event_a_change_and_none_for_a_good_start():
    found = kinds(EndpointTracker(ENDPOINT), *map(slot, [Outcome.GOOD, Outcome.BAD, Outcome.BAD, Outcome.GOOD, Outcome.GOOD]))
    assert found == ["observe.endpoint_bad", "observe.endpoint_good"]


def test_an_endpoint_that_is_bad_from_the_start_is_told():
    assert kinds(EndpointTracker(ENDPOINT), slot(Outcome.BAD)) == ["observe.endpoint_bad"]


def test_missed_slots_change_nothing():
    tracker = EndpointTracker(ENDPOINT)
    assert kinds(tracker, *map(slot, [Outcome.GOOD, Outcome.MISSED, Outcome.MISSED, Outcome.GOOD])) == []
    assert tracker.state.outcome is Outcome.GOOD


def test_excluded_is_a_change_of_its_own():
    tracker = EndpointTracker(ENDPOINT)
    (bad,) = tracker.follow(slot(Outcome.BAD), system_id=None)
    (excluded,) = tracker.follow(slot(Outcome.EXCLUDED), system_id=None, hint="GRANT ...")
    assert (bad.data["outcome"], excluded.data["outcome"], excluded.data["hint"]) == ("bad", "excluded", "GRANT ...")


def test_a_failure_of_new_connections_only_does_not_flap():
    tracker = EndpointTracker(ENDPOINT)
    cycle = [slot(Outcome.BAD, fresh=True), *[slot(Outcome.GOOD)] * 5]
    assert kinds(tracker, slot(Outcome.GOOD), *cycle * 5) == ["observe.endpoint_bad"]
    assert kinds(tracker, slot(Outcome.GOOD, fresh=True)) == ["observe.endpoint_good"]


def test_a_failed_slot_with_a_new_connection_is_repeated_once():
    tracker, asked = EndpointTracker(ENDPOINT), []
    for _ in range(4):
        asked.append(tracker.repeats_fresh)
        tracker.follow(slot(Outcome.BAD, fresh=tracker.repeats_fresh or not asked[:-1]), system_id=None)
    assert asked == [False, True, False, False]


def test_another_instance_or_role_or_system_is_told_and_silence_is_not():
    tracker = EndpointTracker(ENDPOINT)
    first = slot(Outcome.GOOD, instance="pg1", role=Role.PRIMARY)
    assert kinds(tracker, first, slot(Outcome.BAD), first, system_id="1") == ["observe.endpoint_bad", "observe.endpoint_good"]
    assert kinds(tracker, slot(Outcome.GOOD, instance="pg2", role=Role.PRIMARY), system_id="1") == ["observe.role_changed"]
    changes = tracker.follow(slot(Outcome.GOOD, instance="pg2", role=Role.PRIMARY), system_id="2")
    assert [(one.kind, one.data["before_system_id"], one.data["system_id"]) for one in changes] == [
        ("observe.role_changed", "1", "2")
    ]


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans())))
def test_good_and_bad_events_alternate_unless_the_kind_of_failure_changed(slots):
    tracker = EndpointTracker(ENDPOINT)
    changes = [change for outcome, fresh in slots for change in tracker.follow(slot(outcome, fresh=fresh), system_id=None)]
    outcomes = [change.data["outcome"] for change in changes]
    assert all(a != b for a, b in itertools.pairwise(outcomes))
    if outcomes:
        assert outcomes[0] != "good"
