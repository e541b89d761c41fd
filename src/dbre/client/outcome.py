"""What one request to a database says about the database."""

from enum import StrEnum

__all__ = ["Outcome"]


class Outcome(StrEnum):
    """How an event counts against an objective."""

    GOOD = "good"
    BAD = "bad"  # the database's fault: it burns the error budget
    INVALID = "invalid"  # the caller's fault, as wrong SQL or a duplicate key: no valid event, it burns nothing
