"""How fast an error budget is being spent."""

from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.slo.objective import allowed_ratio

__all__ = ["burn_rate", "detection_seconds", "spent_when_fired"]


def burn_rate(bad: int, total: int, *, target: Decimal) -> Fraction:
    """How fast the error budget is being spent; 1 spends all of it in exactly one compliance period.

    ``bad`` and ``total`` are event counts of the same window. No valid events means nothing was spent: 0. Exact:
    budgets are compared with ``>=``, so no float may decide.

    >>> burn_rate(144, 10_000, target=Decimal("0.999"))     # 1.44 % errors against a 0.1 % budget
    Fraction(72, 5)

    Raises: InvalidObjective if not 0 < target < 1.
    Source: SRE Workbook, ch. 5 "Alerting on SLOs".
    """
    allowed = allowed_ratio(target)
    return Fraction(bad, total) / allowed if total else Fraction(0)


def detection_seconds(factor: Fraction, error_ratio: Fraction, *, target: Decimal, long_seconds: int) -> Fraction | None:
    """How long errors of a constant ratio last until a rule's long window exceeds its factor; None: it never does.

    Events come at a constant rate and the window was clean before. With ``factor`` 14.4 over 1 h and a target of 99.9 %,
    a total outage is seen after 51.84 s:

    >>> detection_seconds(Fraction("14.4"), Fraction(1), target=Decimal("0.999"), long_seconds=3600)
    Fraction(1296, 25)

    Source: SRE Workbook, ch. 5, "detection time" = (1 - target) / error ratio * factor * window.
    """
    needed = factor * allowed_ratio(target)
    return needed / error_ratio * long_seconds if error_ratio > needed else None


def spent_when_fired(factor: Fraction, *, long_seconds: int, period_seconds: int) -> Fraction:
    """The part of the period's budget that is gone when a rule fires at its threshold.

    >>> spent_when_fired(Fraction("14.4"), long_seconds=3600, period_seconds=30 * 86_400)
    Fraction(1, 50)
    """
    return factor * long_seconds / period_seconds
