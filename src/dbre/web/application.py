"""The web application: routers, errors, headers; it holds no state but its services."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dbre import __version__
from dbre.web import api, pages, problems
from dbre.web.access import LoginNeeded
from dbre.web.body_limit import BodyLimit
from dbre.web.headers import SecurityHeaders
from dbre.web.ingest import past_the_pages
from dbre.web.services import Services
from dbre.web.tracking import RequestTracking

__all__ = ["create_app"]

# RequestTracking makes the spans: one a request, without the query string, and the same with every version of FastAPI.
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


def create_app(wired: Services) -> ASGIApp:
    """Build the application of one control plane."""
    app = FastAPI(
        title="dbre",
        version=__version__,
        summary="SLOs, error budgets, alerts and events of a fleet of databases.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.services = wired
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", _Static(directory=Path(__file__).parent / "static"))
    problems.install(app)
    app.add_exception_handler(LoginNeeded, _to_login)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(BodyLimit)
    # Around the application, not among its middleware: the answer to an unexpected error is made outside of that.
    secured = SecurityHeaders(app, allowed_hosts=wired.document.allowed_hosts)
    return past_the_pages(RequestTracking(secured, metrics=wired.request_metrics, clock=wired.clock), wired.ingest)


async def _to_login(request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginNeeded)  # noqa: S101 - registered for this type only
    if "hx-request" in request.headers:  # a table that renews itself: load its page anew, or the form would land in the table
        return Response(headers={"HX-Refresh": "true"})
    return RedirectResponse(error.location, status_code=303)


class _Static(StaticFiles):
    """Static files; those with their version in the name never change, so browsers may keep them."""

    def file_response(self, full_path, stat_result, scope, status_code=200):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_versioned = "vendor" in Path(str(full_path)).parts
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_versioned else "public, max-age=300"
        return response
