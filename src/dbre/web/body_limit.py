"""How large the body of a request may be. It is read before anybody knows who sends it."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LIMIT_BODY_BYTES", "BodyLimit"]

LIMIT_BODY_BYTES = 8 * 1024 * 1024
"""A plan for a thousand instances has less than 2 MiB."""


class BodyLimit:
    """Refuses larger bodies with 413: at once where the length is given, else where it is passed."""

    def __init__(self, app: ASGIApp, limit: int = LIMIT_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what comes with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        received = int(announced) if announced.isdigit() and int(announced) > self._limit else 0

        async def counted() -> Message:
            nonlocal received
            self._check(received)
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                self._check(received)
            return message

        await self._app(scope, counted, send)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise HTTPException(413, f"the body is larger than {self._limit // 1024**2} MiB")
