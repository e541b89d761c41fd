"""The door: FastAPI dependencies that let a request in or turn it away."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Form, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dbre.web.identity import SESSION_COOKIE, Gatekeeper, Session
from dbre.web.services import Services, services

__all__ = ["LONGEST_TARGET", "ApiAccess", "FormAccess", "LoginNeeded", "PageAccess", "metrics_access"]

LONGEST_TARGET = 500  # characters of a path that a login returns to

_bearer = HTTPBearer(auto_error=False, description="The token of this control plane.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
Wired = Annotated[Services, Depends(services)]


class LoginNeeded(Exception):
    """A page was asked for without a session; answered with a redirect to the login page."""

    def __init__(self, target: str) -> None:
        super().__init__("login needed")
        self.location = f"/login?next={quote(target if len(target) <= LONGEST_TARGET else '/', safe='')}"


def _session(request: Request, gatekeeper: Gatekeeper) -> Session | None:
    return gatekeeper.session(request.cookies.get(SESSION_COOKIE))


def api_access(request: Request, credentials: Bearer, wired: Wired) -> None:
    """Let programs with the token and logged-in browsers in; 401 for everybody else."""
    if credentials is not None and wired.gatekeeper.accepts(credentials.credentials):
        return
    if credentials is None and _session(request, wired.gatekeeper) is not None:
        return
    detail = "the token is wrong" if credentials else "no token; send it as `Authorization: Bearer TOKEN`"
    raise HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def metrics_access(request: Request, credentials: Bearer, wired: Wired) -> None:
    """The API's rule, unless the configuration opens /metrics to everybody."""
    if not wired.document.is_metrics_public:
        api_access(request, credentials, wired)


def page_access(request: Request, wired: Wired) -> Session:
    """Let logged-in browsers in; the others are sent to the login page and come back."""
    session = _session(request, wired.gatekeeper)
    if session is None:
        query = f"?{request.url.query}" if request.url.query else ""
        raise LoginNeeded(request.url.path + query)
    request.state.session = session
    return session


def form_access(request: Request, wired: Wired, csrf_token: Annotated[str, Form(max_length=200)] = "") -> Session:
    """Let a form of one of our own pages in: session and CSRF token must belong together."""
    session = page_access(request, wired)
    if csrf_token != session.csrf_token:
        raise HTTPException(403, "the form is stale or came from another site; load the page again")
    return session


ApiAccess = Depends(api_access)
PageAccess = Annotated[Session, Depends(page_access)]
FormAccess = Annotated[Session, Depends(form_access)]
