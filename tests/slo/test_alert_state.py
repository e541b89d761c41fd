"""The life of an alert."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.alert_state import AlertState, TrackedAlert, Transition, advance

START = datetime(2026, 1, 1, tzinfo=UTC)


def live(conditions, *, hold=0, keep=0, suppressed=()):
    """States and transitions of an alert that is evaluated every 10 s."""
    alert, states, told = TrackedAlert(), [], []
    for index, is_met in enumerate(conditions):
        alert, transition = advance(
            alert,
            is_met=is_met,
            now=START + timedelta(seconds=10 * index),
            for_seconds=hold,
            keep_firing_seconds=keep,
            is_suppressed=index in suppressed,
        )
        states.append(str(alert.state))
        told.append(transition)
    return states, told


def test_it_fires_at_once_and_ends_after_it_has_been_quiet_for_long_enough():
    states, told = live([False, True, True, False, False, False], keep=20)
    assert states == ["inactive", "firing", "firing", "resolving", "resolving", "inactive"]
    assert told == [None, Transition.FIRED, None, None, None, Transition.RESOLVED]


def test_it_waits_for_as_long_as_it_is_told_and_forgets_a_condition_that_went():
    states, told = live([True, True, False, True, True, True], hold=20)
    assert states == ["pending", "pending", "inactive", "pending", "pending", "firing"]
    assert told[-1] is Transition.FIRED


def test_a_condition_that_comes_back_while_resolving_tells_nobody_again():
    states, told = live([True, False, True, False, False], keep=15)
    assert states == ["firing", "resolving", "firing", "resolving", "resolving"]
    assert told.count(Transition.FIRED) == 1


def test_absence_of_data_resolves_nothing_and_fires_nothing():
    states, _ = live([True, None, None, None], keep=10)
    assert set(states) == {"firing"}
    states, _ = live([None, None])
    assert set(states) == {"inactive"}
    states, _ = live([True, False, None, None, None], keep=10)
    assert states[-1] == "resolving"


def test_a_page_holds_a_ticket_back_until_it_is_over():
    states, told = live([True, True, True, True], suppressed={0, 1})
    assert states == ["pending", "pending", "firing", "firing"]
    assert told == [None, None, Transition.FIRED, None]
    states, told = live([True, False], suppressed={0})
    assert Transition.FIRED not in told


def test_a_ticket_that_already_fires_goes_on_under_a_page():
    states, told = live([True, True, True], suppressed={1, 2})
    assert states == ["firing"] * 3
    assert told.count(Transition.FIRED) == 1


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), st.integers(0, 50), st.integers(0, 50))
def test_fired_and_resolved_alternate_and_begin_with_fired(conditions, hold, keep):
    _, told = live(conditions, hold=hold, keep=keep)
    heard = [one for one in told if one]
    assert heard == [Transition.FIRED, Transition.RESOLVED] * (len(heard) // 2) + [Transition.FIRED] * (len(heard) % 2)


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 50))
def test_what_is_active_was_told_and_not_yet_ended(conditions, keep):
    states, told = live(conditions, keep=keep)
    for index, state in enumerate(states):
        open_alerts = told[: index + 1].count(Transition.FIRED) - told[: index + 1].count(Transition.RESOLVED)
        assert open_alerts == (AlertState(state) in (AlertState.FIRING, AlertState.RESOLVING))
