"""Moments that another program tells as seconds since 1970: any number may stand there."""

from datetime import UTC, datetime

from dbre.core.programs.errors import ProgramFailed

__all__ = ["moment_of_epoch"]


def moment_of_epoch(seconds: float, *, who: str) -> datetime:
    """The moment. Raises: ProgramFailed for a number that is none.

    >>> moment_of_epoch(0, who="a tool").isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ProgramFailed(f"{who} tells of a moment that is none: {seconds}", hint="tell us: a new version?") from error
