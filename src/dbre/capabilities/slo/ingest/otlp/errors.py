"""Why a request is not taken, in the words of OTLP."""

__all__ = ["OtlpRefusal"]


class OtlpRefusal(Exception):
    """A request that is answered with an error status; ``status`` decides whether the client tries again.

    After OTLP 1.x a client repeats 429, 502, 503 and 504 and drops everything else.
    """

    def __init__(self, status: int, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_seconds = retry_after_seconds
