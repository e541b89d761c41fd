"""The arithmetic of waiting."""

import random

from hypothesis import given
from hypothesis import strategies as st

from dbre.core.events import Backoff

backoffs = st.builds(
    Backoff,
    base_seconds=st.floats(0.001, 60),
    cap_seconds=st.floats(0.001, 86_400),
    max_attempts=st.integers(1, 1000),
)


@given(backoffs, st.integers(0, 10**9), st.integers())
def test_a_wait_lies_between_nothing_and_the_ceiling(backoff: Backoff, attempts: int, seed: int) -> None:
    wait = backoff.wait_seconds(attempts, chance=random.Random(seed))
    assert 0 <= wait <= backoff.ceiling_seconds(attempts) <= backoff.cap_seconds


@given(backoffs, st.integers(1, 10**9))
def test_the_ceiling_doubles_until_the_cap(backoff: Backoff, attempts: int) -> None:
    now, later = backoff.ceiling_seconds(attempts), backoff.ceiling_seconds(attempts + 1)
    assert later == min(2 * now, backoff.cap_seconds) or later == now == backoff.cap_seconds


@given(backoffs)
def test_the_first_wait_is_at_most_the_base(backoff: Backoff) -> None:
    assert backoff.ceiling_seconds(1) == min(backoff.base_seconds, backoff.cap_seconds)


@given(backoffs, st.integers(0, 2000))
def test_it_is_exhausted_exactly_after_its_number_of_attempts(backoff: Backoff, attempts: int) -> None:
    assert backoff.is_exhausted(attempts) == (attempts >= backoff.max_attempts)


def test_many_that_failed_together_come_back_spread_over_the_whole_wait() -> None:
    chance = random.Random(1)
    waits = [Backoff().wait_seconds(8, chance=chance) for _ in range(2000)]
    ceiling = Backoff().ceiling_seconds(8)
    thirds = [sum(ceiling * low <= wait < ceiling * (low + 1 / 3) for wait in waits) for low in (0, 1 / 3, 2 / 3)]
    assert all(550 < count < 780 for count in thirds)


def test_the_defaults_give_up_after_about_half_an_hour() -> None:
    longest = sum(Backoff().ceiling_seconds(attempts) for attempts in range(1, Backoff().max_attempts))
    assert 25 * 60 < longest / 2 < 35 * 60  # the mean of an even draw is half of its ceiling
