"""Why events are not taken in."""

from dbre.core.errors import DbreError, UsageError

__all__ = ["BadBatch", "IntakeUnavailable"]


class BadBatch(UsageError):
    """A batch that cannot be read: sending it again changes nothing."""

    code = "ingest.bad_batch"


class IntakeUnavailable(DbreError):
    """Nothing can be made durable now; the same batch is welcome after ``retry_after_seconds``."""

    code = "ingest.unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, context={"retry_after_seconds": retry_after_seconds})
        self.retry_after_seconds = retry_after_seconds
