"""What changes something by the API wants the session's own token; refusals do not fill the audit log."""

from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from dbre.core.identity.model import Permission
from dbre.core.secrets import Secret
from dbre.testing.clock import FakeClock
from dbre.web import problems
from dbre.web.access import ApiPrincipal, require
from dbre.web.identity import SESSION_COOKIE, Gatekeeper
from dbre.web.login_audit import LoginAudit


async def test_a_cookie_alone_changes_nothing() -> None:
    keeper = Gatekeeper(Secret("correct-horse-battery"), FakeClock())
    app = FastAPI()
    app.state.services = SimpleNamespace(gatekeeper=keeper)
    problems.install(app)

    async def change(principal: ApiPrincipal) -> str:
        return principal.name

    app.add_api_route("/api/change", change, methods=["POST"], dependencies=[require(Permission.ADMINISTER)])
    cookie = await keeper.log_in("correct-horse-battery", client="")
    session = keeper.session(cookie)
    assert session is not None
    transport: Any = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x", cookies={SESSION_COOKIE: cookie}) as client:
        assert (await client.post("/api/change")).status_code == 403
        assert (await client.post("/api/change", headers={"X-CSRF-Token": "guess"})).status_code == 403
        allowed = await client.post("/api/change", headers={"X-CSRF-Token": session.csrf_token})
        assert allowed.json() == session.principal.name
        client.cookies.clear()
        assert (await client.post("/api/change")).status_code == 401


async def test_of_many_refusals_few_are_recorded_with_the_number_of_the_others() -> None:
    clock, recorded = FakeClock(), []

    class Recorder:
        async def record(self, _: object, *drafts: Any) -> None:
            recorded.extend(drafts)

    class Store:
        async def grouped(self, work: Any) -> None:
            await work(None)

    audit = LoginAudit(recorder=Recorder(), store=Store(), clock=clock)
    for _ in range(1000):
        await audit.refused(how="token", reason="wrong_token")
    assert len(recorded) == 10
    await clock.advance(6.5)
    await audit.refused(how="token", reason="wrong_token")
    assert len(recorded) == 11
    assert recorded[-1].data["unrecorded_before"] == 990
