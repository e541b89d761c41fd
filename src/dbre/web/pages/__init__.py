"""HTML pages: each is a template and a function that reads what it shows."""

from fastapi import APIRouter

from dbre.web.pages import engines, events, fleet, login, slo

__all__ = ["router"]

router = APIRouter()
for _page in (login, fleet, slo, events, engines):
    router.include_router(_page.router)
