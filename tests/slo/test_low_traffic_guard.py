"""The guard against the exact Poisson distribution, computed with fractions."""

from fractions import Fraction
from math import exp, factorial, lgamma, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.low_traffic_guard import exceeds_chance, smallest_alarming

ALPHA = 1e-4


def poisson_quantile(expected: float) -> int:
    """The smallest k with P(X <= k) >= 1 - alpha; terms in logarithms, summed from the mode's left tail."""
    total, k = 0.0, 0
    while True:
        total += exp(k * log(expected) - expected - lgamma(k + 1))
        if total >= 1 - ALPHA:
            return k
        k += 1


@pytest.mark.parametrize(
    "expected", ["0.001", "0.01", "0.05", "0.1", "0.36", "1", "2.5", "5", "10", "30", "100", "1000", "10000"]
)
def test_the_bound_lies_within_one_event_of_the_exact_quantile(expected):
    total = 10**7
    allowed = Fraction(expected) / total
    # more than the quantile alarms: the smallest alarming number is the quantile plus one
    assert abs(smallest_alarming(total, allowed=allowed) - (poisson_quantile(float(Fraction(expected))) + 1)) <= 1


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 999))
def test_more_bad_events_never_look_more_like_chance(bad, total, thousandths):
    allowed = Fraction(thousandths, 1000)
    if exceeds_chance(bad, total, allowed=allowed):
        assert exceeds_chance(bad + 1, total, allowed=allowed)
    assert exceeds_chance(smallest_alarming(total, allowed=allowed), total, allowed=allowed)
    assert not exceeds_chance(smallest_alarming(total, allowed=allowed) - 1, total, allowed=allowed)


def test_one_failure_among_the_first_five_requests_is_chance():
    assert not exceeds_chance(1, 5, allowed=Fraction("0.001"))


def test_what_a_service_at_its_limit_gives_by_chance_is_rare():
    expected = 3.6
    limit = smallest_alarming(3600, allowed=Fraction("0.001"))
    chance = 1 - sum(exp(-expected) * expected**k / factorial(k) for k in range(limit))
    assert chance < 2 * ALPHA
