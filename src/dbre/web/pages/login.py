"""Log in with the token, log out again."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dbre.core.errors import Denied
from dbre.web.access import LONGEST_TARGET, FormAccess, Wired
from dbre.web.identity import SESSION_COOKIE, SESSION_SECONDS
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def login_page(request: Request, next: Annotated[str, Query(max_length=LONGEST_TARGET)] = "/") -> Response:  # noqa: A002 - the query's name
    """The form."""
    return HTMLResponse(render(request, "login.html", title="Log in", next=_inside(next), refusal=None))


@router.post("/login")
async def log_in(
    request: Request,
    wired: Wired,
    token: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=LONGEST_TARGET)] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Exchange the token for a session cookie."""
    try:
        cookie = wired.gatekeeper.log_in(token.strip(), client=request.client.host if request.client else "")
    except Denied as error:
        page = render(request, "login.html", title="Log in", next=_inside(next), refusal=f"{error.message}: {error.hint}")
        return HTMLResponse(page, status_code=403)
    answer = RedirectResponse(_inside(next), status_code=303)
    secure = request.url.scheme == "https"
    answer.set_cookie(SESSION_COOKIE, cookie, max_age=SESSION_SECONDS, httponly=True, samesite="lax", secure=secure)
    return answer


@router.post("/logout")
async def log_out(request: Request, wired: Wired, _session: FormAccess) -> Response:
    """End the session."""
    wired.gatekeeper.log_out(request.cookies.get(SESSION_COOKIE))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _inside(target: str) -> str:
    """A path on this server: an open redirect would hand the fresh session's user to another site."""
    is_inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_inside and target.isprintable() else "/"
