"""What is wrong with a history itself, as opposed to with the database that it tells of."""

from dbre.core.errors import ExitCode, UsageError

__all__ = ["HistoryInvalid", "HistoryTooLarge"]


class HistoryInvalid(UsageError):
    """The history cannot be read, or says what no client can have done: nothing was judged."""

    code = "consistency.history_invalid"


class HistoryTooLarge(HistoryInvalid):
    """The history exceeds a limit that keeps memory bounded."""

    code = "consistency.history_too_large"
    exit_code = ExitCode.USAGE
