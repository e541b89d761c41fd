"""What can be wrong with the log of the intake."""

from dbre.core.errors import Conflict, DbreError

__all__ = ["LogFailed", "LogTaken"]


class LogFailed(DbreError):
    """The log cannot be written or read: the disk is full, or broken."""

    code = "ingest.log_failed"
    retryable = True


class LogTaken(Conflict):
    """Another process has the directory of the log."""

    code = "ingest.log_taken"
