"""Errors as answers: the same document as ``dbre -o json`` prints, or a page where a person is looking."""

import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from dbre.capabilities.backup.catalog.errors import NoSuchDrill
from dbre.capabilities.chaos.runs.repository import NoSuchRun
from dbre.capabilities.incident.errors import NoSuchIncident, NoSuchIncidentItem
from dbre.core.audit.errors import AuditEntryInvalid, EntryMissing
from dbre.core.errors import DbreError, ExitCode
from dbre.core.operation.errors import NoSuchOperation
from dbre.core.telemetry import logger
from dbre.core.text import printable
from dbre.web.templates import render

__all__ = ["ERRORS", "NotFound", "Problem", "ProblemDetail", "install"]

_STATUS = {
    ExitCode.USAGE: 400,
    ExitCode.DENIED: 403,
    ExitCode.FINDINGS: 409,  # of the audit log: what is stored is not what was signed
    ExitCode.REFUSED: 409,
    ExitCode.CONFLICT: 409,
    ExitCode.UNREACHABLE: 503,
}
_log = logger(__name__)


class ProblemDetail(BaseModel):
    """What went wrong, where, why and what next."""

    code: str
    message: str
    hint: str | None = None
    context: dict[str, Any] = {}
    retryable: bool = False
    exit_code: int | None = None
    """What the command line ends with; absent where no command could have failed so."""


class Problem(BaseModel):
    """Body of every answer that is not a success."""

    error: ProblemDetail


class NotFound(DbreError):
    """The path names something that does not exist."""

    code = "web.not_found"
    exit_code = ExitCode.USAGE


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is malformed."},
    401: {"model": Problem, "description": "No token, or a wrong one."},
    403: {"model": Problem, "description": "You may not do that here."},
    404: {"model": Problem, "description": "There is nothing of that name."},
    409: {"model": Problem, "description": "Refused by a gate or by the state of things, or they changed meanwhile."},
    422: {"model": Problem, "description": "A parameter is out of range; the message names it."},
    429: {"model": Problem, "description": "Too many wrong tokens from this client; wait a minute."},
    503: {"model": Problem, "description": "The state store or a part of the control plane does not answer now."},
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(DbreError, _dbre_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)


async def _dbre_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DbreError)  # noqa: S101 - registered for this type only
    status = _status_of(error)
    if status >= 500:
        _log.error("request_failed", path=request.url.path, code=error.code, error=error.message)
    return _answer(request, status, ProblemDetail(**error.as_document(), exit_code=int(error.exit_code)))


def _status_of(error: DbreError) -> int:
    if isinstance(error, NotFound | NoSuchDrill | NoSuchIncident | NoSuchIncidentItem | NoSuchOperation | NoSuchRun):
        return 404
    if isinstance(error, AuditEntryInvalid | EntryMissing):
        return 409  # not the asker's fault: what is stored is not what was written
    return _STATUS.get(error.exit_code, 500)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
    words = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _answer(request, 422, ProblemDetail(code="web.invalid_request", message="; ".join(words)))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    detail = ProblemDetail(code=f"web.http_{error.status_code}", message=str(error.detail))
    answer = _answer(request, error.status_code, detail)
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_at(request)):
        answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


def _methods_at(request: Request) -> set[str]:
    """All methods of a path of the API: the router tells only those of the first route that has it."""
    described, path = request.app.openapi()["paths"], request.url.path
    if path in described:
        return {one.upper() for one in described[path]}
    patterns = {re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(one)): methods for one, methods in described.items()}
    return {one.upper() for pattern, methods in patterns.items() if re.fullmatch(pattern, path) for one in methods}


async def _defect(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, error=f"{type(error).__name__}: {error}", exc_info=error)
    message = "dbre has a defect here; the log has the details"
    return _answer(request, 500, ProblemDetail(code="web.defect", message=message))


def _answer(request: Request, status: int, detail: ProblemDetail) -> Response:
    wants_page = not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
    if wants_page:
        title = HTTPStatus(status).phrase
        values = {"status": status, "problem": detail, "back": _back(request)}
        return HTMLResponse(render(request, "problem.html", title=title, **values), status_code=status)
    clean = detail.model_copy(update={"message": printable(detail.message)})
    return JSONResponse({"error": clean.model_dump(mode="json")}, status_code=status)


def _back(request: Request) -> tuple[str, str]:
    """Where a person goes on after a refusal: the page with the form, or the list that the page is in."""
    area, _, rest = request.url.path.removeprefix("/").partition("/")
    name, _, more = rest.partition("/")
    if area == "operations" and more:
        return f"/operations/{name}", "the operation"
    lists = {"operations": "the operations", "schedules": "the schedules", "audit": "the audit log", "gates": "the gates"}
    if area in lists and (rest or request.url.query):
        return f"/{area}", lists[area]
    return "/", "the fleet"
