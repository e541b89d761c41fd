from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.backoff import Backoff


def test_a_dead_server_is_asked_more_rarely_up_to_the_longest_pause():
    backoff = Backoff(threshold=3, interval=15, longest=60)
    pauses = []
    for _ in range(6):
        backoff.failed()
        pauses.append(backoff.pause_seconds)
    assert pauses == [15, 15, 30, 60, 60, 60]
    assert backoff.is_open


def test_one_success_closes_it():
    backoff = Backoff(threshold=1, interval=15, longest=60)
    backoff.failed()
    assert backoff.is_open
    backoff.succeeded()
    assert not backoff.is_open
    assert backoff.pause_seconds == 15


@given(st.integers(0, 10_000), st.floats(0, 0.999), st.floats(0.1, 100), st.floats(0.1, 1000))
def test_pauses_are_never_shorter_than_the_interval_nor_much_longer_than_the_longest(failures, jitter, interval, longest):
    backoff = Backoff(threshold=3, interval=interval, longest=longest, jitter=jitter)
    for _ in range(min(failures, 200)):
        backoff.failed()
    assert interval <= backoff.pause_seconds <= max(longest, interval) * 1.2
