"""The target of an SLO: a ratio strictly between 0 and 1, exact."""

from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.slo.errors import InvalidObjective

__all__ = ["MAX_DECIMALS", "allowed_ratio", "check_target"]

MAX_DECIMALS = 9  # 0.999999999 over a year is 31 ms: nobody measures less, and exact fractions stay small


def check_target(target: Decimal) -> Decimal:
    """Return the target if it is one.

    >>> check_target(Decimal("0.999"))
    Decimal('0.999')

    Raises: InvalidObjective where it is not finite, not strictly between 0 and 1, or has more than nine decimals.
    """
    if not target.is_finite() or not 0 <= target <= 1:
        raise InvalidObjective(f"the target {target} does not lie between 0 and 1", hint="write 99.9 % as 0.999 or 99.9%")
    if target == 1:
        raise InvalidObjective(
            "a target of 100% leaves no error budget: one bad event would exhaust it for ever, and no change could be made",
            hint="write what clients can live with: 99.99% allows 4 min 19 s in 30 days",
        )
    if target == 0:
        raise InvalidObjective("a target of 0% promises nothing", hint="write 99.9 % as 0.999 or 99.9%")
    exponent = target.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > MAX_DECIMALS:
        raise InvalidObjective(
            f"the target {target} has more than {MAX_DECIMALS} decimals", hint="write at most nine nines: 99.9999999%"
        )
    return target


def allowed_ratio(target: Decimal) -> Fraction:
    """The part of all valid events that may be bad: ``1 - target``, exact.

    >>> allowed_ratio(Decimal("0.999"))
    Fraction(1, 1000)
    """
    return 1 - Fraction(check_target(target))
