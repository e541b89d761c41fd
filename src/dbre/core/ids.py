"""Identifiers that sort by the time at which they were made."""

import secrets
from uuid import UUID

from dbre.core.clock import Clock

__all__ = ["uuid7"]


def uuid7(clock: Clock) -> UUID:
    """A version 7 UUID of the clock's present moment; sorts by time to the microsecond, needs no state.

    48 bits of milliseconds, 12 bits of the fraction below, 62 random bits.

    Source: RFC 9562, 5.7, and 6.2 method 3 ("Replace Leftmost Random Bits with Increased Clock Precision").
    """
    now = clock.now()
    milliseconds = int(now.timestamp()) * 1000 + now.microsecond // 1000
    fraction = (now.microsecond % 1000) * 4096 // 1000
    number = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=number)
