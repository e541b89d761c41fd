"""Integer counts of events: the only thing that is ever stored of an SLI."""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["NOTHING", "Counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of one slot or window. ``missed`` and ``excluded`` are no valid events: they are never in ``total``."""

    good: int = 0
    bad: int = 0
    missed: int = 0  # we did not measure: says nothing about the database
    excluded: int = 0  # our own fault, as a revoked grant: not a valid event

    @property
    def total(self) -> int:
        """Valid events: good and bad."""
        return self.good + self.bad

    @property
    def observed(self) -> int:
        """Events of any kind: in how many scheduled moments somebody was there to look."""
        return self.good + self.bad + self.missed + self.excluded

    @property
    def ratio(self) -> Fraction | None:
        """The SLI, good events of valid events, exact; None where there was no valid event (never 100 %)."""
        return Fraction(self.good, self.total) if self.total else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.good + other.good, self.bad + other.bad, self.missed + other.missed, self.excluded + other.excluded)

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.good - other.good, self.bad - other.bad, self.missed - other.missed, self.excluded - other.excluded)

    def __mul__(self, times: int) -> "Counts":
        return Counts(self.good * times, self.bad * times, self.missed * times, self.excluded * times)

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Counts()
