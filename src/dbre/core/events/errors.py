"""What a handler raises when it knows more than "it failed"."""

from dbre.core.errors import DbreError

__all__ = ["DeliveryPostponed", "DeliveryRefused"]


class DeliveryRefused(DbreError):
    """The receiver will never take this event: the delivery is dead at once, and can be replayed once the cause is gone."""

    code = "core.delivery_refused"


class DeliveryPostponed(DbreError):
    """The receiver asks to come back later; ``wait_seconds`` counts up to the cap of the subscription's backoff."""

    code = "core.delivery_postponed"
    retryable = True

    def __init__(self, message: str, *, wait_seconds: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, context={"wait_seconds": wait_seconds})
        self.wait_seconds = wait_seconds
