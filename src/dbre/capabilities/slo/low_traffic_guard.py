"""Could so many bad events be chance? Keeps a handful of events from paging anybody."""

from fractions import Fraction

__all__ = ["GUARD_Z", "exceeds_chance", "smallest_alarming"]

GUARD_Z = Fraction("3.72")
"""Normal quantile of 1 - 1e-4: a healthy service trips the guard in one of ten thousand windows."""


def exceeds_chance(bad: int, total: int, *, allowed: Fraction) -> bool:
    """Whether ``bad`` of ``total`` events are more than a service that just meets its target gives by chance.

    With ``L = total * allowed`` expected bad events the bound is ``L + z * sqrt(L) + (z^2 - 1) / 6``: the Cornish-Fisher
    expansion of the Poisson quantile at 1e-4, within 1 of the exact one for L from 0.001 to 10 000. Compared by squares,
    because a square root would need a float.

    >>> exceeds_chance(1, 5, allowed=Fraction("0.001"))     # one failure among the first five requests
    False
    >>> exceeds_chance(4, 5, allowed=Fraction("0.001"))
    True

    Source: Cornish and Fisher (1938); Abramowitz and Stegun 26.2.49, skewness of a Poisson variable 1/sqrt(L).
    """
    expected = total * allowed
    excess = bad - expected - (GUARD_Z**2 - 1) / 6
    return excess > 0 and excess**2 > GUARD_Z**2 * expected


def smallest_alarming(total: int, *, allowed: Fraction) -> int:
    """The smallest number of bad events among ``total`` that the guard lets pass as no chance.

    >>> smallest_alarming(360, allowed=Fraction("0.001"))   # an hour of probes every 10 s, 99.9 %
    5
    """
    low, high = 0, 1
    while not exceeds_chance(high, total, allowed=allowed):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if exceeds_chance(middle, total, allowed=allowed):
            high = middle
        else:
            low = middle
    return high
