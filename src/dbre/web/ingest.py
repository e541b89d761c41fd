"""Events of real traffic go past everything that pages and the API need: producers have tokens of their own."""

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["past_the_pages"]

_PREFIXES = ("/ingest/", "/v1/traces", "/v1/metrics", "/v1/logs")


def past_the_pages(app: ASGIApp, ingest: ASGIApp | None) -> ASGIApp:
    """``app``, but requests that bring events go to ``ingest``."""
    if ingest is None:
        return app

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        brings_events = scope["type"] == "http" and scope["path"].startswith(_PREFIXES)
        await (ingest if brings_events else app)(scope, receive, send)

    return route
