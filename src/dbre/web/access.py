"""The door: FastAPI dependencies that let a request in or turn it away."""

import hmac
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Form, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dbre.core.errors import Denied
from dbre.core.identity.model import Permission, Principal
from dbre.web.identity import SESSION_COOKIE, Gatekeeper, Session, TooManyWrongTokens
from dbre.web.services import Services, services

__all__ = [
    "LONGEST_TARGET",
    "ApiAccess",
    "ApiPrincipal",
    "FormAccess",
    "FormPrincipal",
    "LoginNeeded",
    "PageAccess",
    "PagePrincipal",
    "metrics_access",
    "open_session",
    "require",
]

LONGEST_TARGET = 500  # characters of a path that a login returns to

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_bearer = HTTPBearer(auto_error=False, description="A token: of a person or service, or this control plane's own.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
Wired = Annotated[Services, Depends(services)]


class LoginNeeded(Exception):
    """A page was asked for without a session; answered with a redirect to the login page."""

    def __init__(self, target: str) -> None:
        super().__init__("login needed")
        self.location = f"/login?next={quote(target if len(target) <= LONGEST_TARGET else '/', safe='')}"


def _session(request: Request, gatekeeper: Gatekeeper) -> Session | None:
    return gatekeeper.session(request.cookies.get(SESSION_COOKIE))


async def api_principal(request: Request, credentials: Bearer, wired: Wired) -> Principal:
    """Let programs with a token and logged-in browsers in; 401 for everybody else, 403 for who may not even read.

    Who presents many wrong tokens gets 429 for a while.

    A browser's cookie comes along with requests that other sites make: what changes something needs its CSRF token too.
    """
    keeper = wired.gatekeeper
    if credentials is not None:
        try:
            found = await keeper.bearer(credentials.credentials, client=request.client.host if request.client else "")
        except TooManyWrongTokens as error:
            raise HTTPException(429, f"{error.message}: {error.hint}", headers={"Retry-After": "60"}) from None
        if found is None:
            raise HTTPException(401, "the token is wrong or has expired", headers=_CHALLENGE)
        return _reader(found)
    session = _session(request, keeper)
    if session is None:
        raise HTTPException(401, "no token; send it as `Authorization: Bearer TOKEN`", headers=_CHALLENGE)
    if request.method not in _SAFE:
        _check_csrf(session, request.headers.get("x-csrf-token", ""))
    return _reader(session.principal)


async def metrics_access(request: Request, credentials: Bearer, wired: Wired) -> None:
    """The API's rule, unless the configuration opens /metrics to everybody."""
    if not wired.document.is_metrics_public:
        principal = await api_principal(request, credentials, wired)
        if not all(principal.may(Permission.READ, one.labels) for one in wired.fleet.clusters):
            raise Denied(
                f"{principal.name} may not read the whole fleet, which /metrics tells of",
                hint="give the scraper a grant of viewer without a selector",
            )


async def page_access(request: Request, wired: Wired) -> Session:
    """Let logged-in browsers in; the others are sent to the login page and come back."""
    session = _form_session(request, wired)
    _reader(session.principal)
    if "hx-request" not in request.headers:  # a whole page, with its header
        request.state.attention = await wired.attention.count(session.principal)
    return session


def open_session(request: Request, wired: Services) -> Session | None:
    """The session of the request as it is now, or None; for answers that last longer than a moment."""
    session = _session(request, wired.gatekeeper)
    if session is not None:
        request.state.session = session
    return session


def form_access(request: Request, wired: Wired, csrf_token: Annotated[str, Form(max_length=200)] = "") -> Session:
    """Let a form of one of our own pages in: session and CSRF token must belong together."""
    session = _form_session(request, wired)
    _check_csrf(session, csrf_token)
    return session


def page_principal(session: Annotated[Session, Depends(page_access)]) -> Principal:
    """Who looks at a page."""
    return session.principal


def form_principal(session: Annotated[Session, Depends(form_access)]) -> Principal:
    """Who sent a form of one of our own pages."""
    return session.principal


def require(permission: Permission) -> Any:
    """A dependency of API routes: who has the permission for at least a part of the fleet; 403 for the others.

    What is acted on is checked where it is known: ``Principal.require`` with its labels.
    """

    def check(principal: ApiPrincipal) -> Principal:
        principal.require(permission, what="anything here")
        return principal

    return Depends(check)


def _form_session(request: Request, wired: Services) -> Session:
    session = _session(request, wired.gatekeeper)
    if session is None:
        query = f"?{request.url.query}" if request.url.query else ""
        raise LoginNeeded(request.url.path + query)
    request.state.session = session
    return session


def _check_csrf(session: Session, presented: str) -> None:
    if not hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), session.csrf_token.encode()):
        raise HTTPException(403, "the form is stale or came from another site; load the page again")


def _reader(principal: Principal) -> Principal:
    principal.require(Permission.READ, what="anything here")
    return principal


ApiAccess = Depends(api_principal)
ApiPrincipal = Annotated[Principal, Depends(api_principal)]
FormAccess = Annotated[Session, Depends(form_access)]
FormPrincipal = Annotated[Principal, Depends(form_principal)]
PageAccess = Annotated[Session, Depends(page_access)]
PagePrincipal = Annotated[Principal, Depends(page_principal)]
