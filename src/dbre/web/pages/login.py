"""Log in with a token or at the OpenID provider, log out again."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dbre.core.errors import DbreError, Denied
from dbre.core.identity.document import CALLBACK_PATH
from dbre.web.access import LONGEST_TARGET, FormAccess, Wired
from dbre.web.identity import SESSION_COOKIE, SESSION_SECONDS
from dbre.web.oidc import LOGIN_COOKIE, LOGIN_SECONDS, LoginProvider
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Target = Annotated[str, Query(alias="next", max_length=LONGEST_TARGET)]


@router.get("/login")
async def login_page(request: Request, wired: Wired, target: Target = "/") -> Response:
    """The form, and the way to the provider."""
    return _page(request, wired, target)


@router.post("/login")
async def log_in(
    request: Request,
    wired: Wired,
    token: Annotated[str, Form(max_length=1000)] = "",
    target: Annotated[str, Form(alias="next", max_length=LONGEST_TARGET)] = "/",
) -> Response:
    """Exchange a token for a session cookie."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):  # another site would choose who somebody is here
        raise HTTPException(403, "the form came from another site; load the login page again")
    try:
        cookie = await wired.gatekeeper.log_in(token.strip(), client=request.client.host if request.client else "")
    except Denied as error:
        return _page(request, wired, target, error=error, status=403)
    return _enter(request, wired, cookie, target, seconds=SESSION_SECONDS)


@router.get("/login/oidc")
async def begin_at_provider(request: Request, wired: Wired, target: Target = "/") -> Response:
    """Send the browser to the provider."""
    try:
        login = await _provider(wired).begin(base_url=str(request.base_url), target=_inside(target))
    except Denied as error:
        return _page(request, wired, target, error=error, status=403)
    answer = RedirectResponse(login.url, status_code=303)
    answer.set_cookie(
        LOGIN_COOKIE,
        login.cookie,
        max_age=LOGIN_SECONDS,
        path="/login",
        httponly=True,
        samesite="lax",  # the way back from the provider is a navigation from another site: with strict, no cookie came
        secure=request.url.scheme == "https",
    )
    return answer


@router.get(CALLBACK_PATH)
async def return_from_provider(request: Request, wired: Wired) -> Response:
    """Take the provider's answer: a session, and on to the page that was asked for."""
    provider, keeper = _provider(wired), wired.gatekeeper
    try:
        principal, target = await provider.finish(request.cookies.get(LOGIN_COOKIE), dict(request.query_params))
    except Denied as error:
        await keeper.audit.refused(how="oidc", reason=error.code)
        refused = _page(request, wired, "/", error=error, status=403)
        refused.delete_cookie(LOGIN_COOKIE, path="/login")
        return refused
    cookie = await keeper.welcome(principal, seconds=provider.session_seconds)
    answer = _enter(request, wired, cookie, target, seconds=provider.session_seconds)
    answer.delete_cookie(LOGIN_COOKIE, path="/login")
    return answer


@router.post("/logout")
async def log_out(request: Request, wired: Wired, _session: FormAccess) -> Response:
    """End the session."""
    await wired.gatekeeper.log_out(request.cookies.get(SESSION_COOKIE))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _enter(request: Request, wired: Services, cookie: str, target: str, *, seconds: float) -> Response:
    """A new cookie at each login, and the end of the session before: nobody can prepare one for somebody else."""
    wired.gatekeeper.forget(request.cookies.get(SESSION_COOKIE))
    answer = RedirectResponse(_inside(target), status_code=303)
    secure = request.url.scheme == "https"
    answer.set_cookie(SESSION_COOKIE, cookie, max_age=int(seconds), httponly=True, samesite="lax", secure=secure)
    return answer


def _page(request: Request, wired: Services, target: str, *, error: DbreError | None = None, status: int = 200) -> HTMLResponse:
    refusal = ": ".join(part for part in (error.message, error.hint) if part) if error else None
    values = {
        "next": _inside(target),
        "refusal": refusal,
        "provider": wired.gatekeeper.provider.name if wired.gatekeeper.provider else None,
        "is_embedded": wired.gatekeeper.access.is_embedded,
    }
    return HTMLResponse(render(request, "login.html", title="Log in", **values), status_code=status)


def _provider(wired: Services) -> LoginProvider:
    if wired.gatekeeper.provider is None:
        raise NotFound("no OpenID provider is configured", hint="set access.oidc, or log in with a token")
    return wired.gatekeeper.provider


def _inside(target: str) -> str:
    """A path on this server: an open redirect would hand the fresh session's user to another site."""
    is_inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_inside and target.isprintable() else "/"
