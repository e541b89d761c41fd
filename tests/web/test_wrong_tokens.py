"""Guessing tokens at the API shuts the door of that client, as at the login page; the description announces every refusal."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from dbre.core.identity.access import Access, Identity, TokenHash
from dbre.core.identity.model import Grant, PrincipalKind, Role
from dbre.core.identity.tokens import make_token, token_digest
from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.testing.clock import FakeClock
from dbre.web import problems
from dbre.web.access import ApiPrincipal
from dbre.web.identity import Gatekeeper

OWN = "correct-horse-battery"
LISTED = make_token()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(clock: FakeClock) -> FastAPI:
    token = TokenHash(digest=token_digest(LISTED.reveal()))
    viewer = Identity(name="ci", kind=PrincipalKind.SERVICE, tokens=(token,), grants=(Grant(role=Role.VIEWER),))
    made = FastAPI()
    made.state.services = SimpleNamespace(gatekeeper=Gatekeeper(Secret(OWN), clock, Access(identities=(viewer,))))
    problems.install(made)

    async def who(principal: ApiPrincipal) -> str:
        return principal.name

    made.add_api_route("/api/who", who)
    return made


async def ask(app: FastAPI, token: str, client: str = "10.0.0.1") -> httpx.Response:
    transport: Any = httpx.ASGITransport(app=app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as one:
        return await one.get("/api/who", headers={"Authorization": f"Bearer {token}"})


async def test_guessing_shuts_the_door_of_that_client_for_a_minute_even_for_a_token_that_can_be_guessed(
    app: FastAPI, clock: FakeClock
) -> None:
    assert [(await ask(app, f"guess-{number}")).status_code for number in range(10)] == [401] * 10
    shut = await ask(app, "guess-10")
    assert (shut.status_code, shut.headers["Retry-After"]) == (429, "60")
    assert (await ask(app, OWN)).status_code == 429
    assert (await ask(app, OWN, client="10.0.0.2")).json() == "server-token"
    await clock.advance(61)
    assert (await ask(app, OWN)).json() == "server-token"


async def test_a_program_with_a_made_token_is_not_locked_out_by_a_neighbour_that_guesses(app: FastAPI) -> None:
    for number in range(20):
        await ask(app, f"guess-{number}")
    assert (await ask(app, LISTED.reveal())).json() == "ci"
    assert (await ask(app, make_token().reveal())).status_code == 429


async def test_the_login_page_and_the_api_count_together(app: FastAPI) -> None:
    for number in range(10):
        await ask(app, f"guess-{number}")
    with pytest.raises(Exception, match="10 wrong tokens within 60 s"):
        await app.state.services.gatekeeper.log_in(OWN, client="10.0.0.1")


async def test_the_description_announces_what_the_door_refuses(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    guarded = {path: methods for path, methods in document["paths"].items() if path.startswith("/api/") or path == "/metrics"}
    missing = [
        (path, method, code)
        for path, methods in guarded.items()
        for method, described in methods.items()
        for code in ("401", "403", "429")
        if code not in described["responses"]
    ]
    assert not missing
