from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.observe.breaker import CircuitBreaker


def test_a_dead_server_is_asked_more_rarely_up_to_the_longest_pause():
    breaker = CircuitBreaker(threshold=3, interval=15, longest=60)
    pauses = []
    for _ in range(6):
        breaker.failed()
        pauses.append(breaker.pause_seconds)
    assert pauses == [15, 15, 30, 60, 60, 60]
    assert breaker.is_open


def test_one_success_closes_it():
    breaker = CircuitBreaker(threshold=1, interval=15, longest=60)
    breaker.failed()
    assert breaker.is_open
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.pause_seconds == 15


@given(st.integers(0, 10_000), st.floats(0, 0.999), st.floats(0.1, 100), st.floats(0.1, 1000))
def test_pauses_are_never_shorter_than_the_interval_nor_much_longer_than_the_longest(failures, jitter, interval, longest):
    breaker = CircuitBreaker(threshold=3, interval=interval, longest=longest, jitter=jitter)
    for _ in range(min(failures, 200)):
        breaker.failed()
    assert interval <= breaker.pause_seconds <= max(longest, interval) * 1.2
