"""Operations in the browser: two people, their forms, the live page, and whoever may not."""

import asyncio
import contextlib
import io
import json
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, expect

from dbre.core.identity.tokens import make_token, token_hash
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.postgres import PostgresServer

MARKUP = "<script>alert(1)</script>"
ROLES = {"ann": "operator", "bob": "approver", "eve": "viewer", "kim": "admin"}
CHECK = {"kind": "fleet.check", "input": {"cluster": "orders"}}
APPROVED_KIND = "settings.apply"


@dataclass
class Team:
    """A control plane with people."""

    plane: ControlPlaneProcess
    tokens: Mapping[str, str]

    def client(self, name: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.AsyncClient(base_url=self.plane.url, headers=headers, timeout=20, trust_env=False)

    async def submit(self, name: str, body: Mapping[str, object]) -> dict[str, Any]:
        async with self.client(name) as client:
            answer = await client.post("/api/v1/operations", json=dict(body))
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def until(self, identifier: str, *states: str) -> dict[str, Any]:
        async with self.client("eve") as client, asyncio.timeout(40):
            while True:
                found = dict((await client.get(f"/api/v1/operations/{identifier}")).json())
                if found["state"] in states:
                    return found
                await asyncio.sleep(0.1)

    async def browse(self, browser: Browser, name: str, target: str, *, has_scripts: bool = True) -> Page:
        context = await browser.new_context(java_script_enabled=has_scripts)
        page = await context.new_page()
        await page.goto(f"{self.plane.url}{target}")
        await page.get_by_label("Token").fill(self.tokens[name])
        await page.get_by_role("button", name="Log in").click()
        await expect(page).to_have_url(f"{self.plane.url}{target}")
        return page


def _configuration(server: PostgresServer, directory: Path, tokens: Mapping[str, str]) -> dict[str, object]:
    password = directory / "password"
    password.write_text(server.password.reveal())
    password.chmod(0o600)
    cluster = {
        "name": "orders",
        "environment": "test",
        "engine": "postgresql",
        "user": server.superuser,
        "password": f"file:{password}",
        "instances": [{"name": "orders-1", "host": server.address.host, "port": server.address.port}],
    }
    people = [
        {"name": name, "tokens": [{"hash": tokens[f"{name}-hash"]}], "grants": [{"role": role}]} for name, role in ROLES.items()
    ]
    everything = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    return {
        "fleet": {"clusters": [cluster]},
        "probe": {"interval": "500ms", "connect_timeout": "300ms", "statement_timeout": "300ms", "total_timeout": "400ms"},
        "slos": [
            {
                "name": "writes",
                "selector": {"environment": "test"},
                "sli": {"kind": "availability", "purpose": "write"},
                "target": "99%",
                "window": {"rolling": "7d"},
            }
        ],
        "access": {"principals": people},
        "gates": {
            "approvals": [{"name": "changes", "kinds": [APPROVED_KIND]}],
            "freeze_windows": [
                {"name": "drills", "when": everything, "kinds": ["chaos.*"], "time_zone": "Europe/Madrid", "reason": MARKUP}
            ],
        },
        "schedules": [
            {"name": "weekly", "cron": "0 3 1 1 *", "kind": "fleet.check", "input": {"cluster": "orders"}},
        ],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    directory = tmp_path_factory.mktemp("team")
    tokens: dict[str, str] = {}
    for name in ROLES:
        token = make_token()
        tokens |= {name: token.reveal(), f"{name}-hash": token_hash(token)}
    plane = ControlPlaneProcess(directory, _configuration(postgres18, directory, tokens))
    await plane.start()
    yield Team(plane=plane, tokens=tokens)
    await plane.stop()
    async with await postgres18.connect() as admin:  # other tests share this server
        await admin.execute("ALTER SYSTEM RESET ALL")
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")


def _change(value: str, **more: object) -> dict[str, object]:
    return {"kind": APPROVED_KIND, "input": {"cluster": "orders", "set": {"work_mem": value}, **more}, "reason": MARKUP}


def _fields(html: str, action: str) -> dict[str, str]:
    """The hidden fields of one form, as a browser would send them."""
    form = html.split(f'action="{action}"', 1)[1].split("</form>", 1)[0]
    parts = form.split('type="hidden" name="')[1:]
    return {part.split('"', 1)[0]: part.split('value="', 1)[1].split('"', 1)[0] for part in parts}


@contextlib.asynccontextmanager
async def _session(team: Team, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts and with a bad temper."""
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(base_url=team.plane.url, timeout=20, trust_env=False, headers=headers) as client:
        answer = await client.post("/login", data={"token": team.tokens[name], "next": "/"})
        assert answer.status_code == 303
        yield client


async def test_page_of_the_requester_follows_what_the_approver_does_elsewhere(team: Team, browser: Browser) -> None:
    change = await team.submit("ann", _change("5MB"))
    assert change["state"] == "awaiting_approval"
    path = f"/operations/{change['id']}"
    hers = await team.browse(browser, "ann", path)
    await expect(hers.get_by_text(f"“{MARKUP}”")).to_be_visible()
    await expect(hers.get_by_role("button", name="Approve")).to_have_count(0)  # she asked for it
    await expect(hers.get_by_role("link", name="1 needs attention")).to_be_visible()
    await hers.evaluate("window.stayed = true")
    his = await team.browse(browser, "bob", path, has_scripts=False)
    await expect(his.get_by_role("button", name="Cancel")).to_have_count(0)
    await his.get_by_label("Comment").fill(MARKUP)
    await his.get_by_role("button", name="Approve").click()
    await expect(his).to_have_url(f"{team.plane.url}{path}")
    await expect(hers.locator("#operation > p").first).to_contain_text("succeeded", timeout=20_000)
    await expect(hers.get_by_text(f"bob approved this plan, {datetime.now(UTC):%Y-}")).to_be_visible()
    await expect(hers.get_by_role("button", name="Cancel")).to_have_count(0)  # nothing left to cancel
    assert await hers.evaluate("window.stayed")
    await asyncio.gather(hers.context.close(), his.context.close())


async def test_change_that_is_watched_is_marked_and_cancelled_by_a_form(team: Team, browser: Browser) -> None:
    change = await team.submit("ann", _change("6MB", revert_on={"slo": "writes", "watch": "2m"}))
    path = f"/operations/{change['id']}"
    async with team.client("bob") as client:
        assert (await client.post(f"/api/v1{path}/approve", json={})).status_code == 200
    await team.until(change["id"], "running")
    page = await team.browse(browser, "ann", "/clusters/orders", has_scripts=False)
    await page.get_by_role("link", name="set work_mem").first.click()
    await expect(page.locator("#operation")).to_contain_text("running")
    await page.goto(f"{team.plane.url}/slo/writes/orders")
    await expect(page.locator("svg.chart .mark title").first).to_contain_text("settings.apply")
    await expect(page.locator(f'ul.marks a[href="{path}"]')).to_be_visible()
    await page.goto(f"{team.plane.url}/gates")
    await expect(page.get_by_role("region", name="Who holds what")).to_contain_text("cluster/orders")
    held = await team.submit("ann", CHECK)
    await page.goto(f"{team.plane.url}/gates?cluster=orders")
    await expect(page.get_by_role("region", name="The gates")).to_contain_text("is held by operation")
    await page.goto(f"{team.plane.url}{path}")
    form = page.locator("form", has=page.get_by_role("button", name="Cancel"))
    await form.get_by_label("Reason").fill("not today")
    await form.get_by_role("button", name="Cancel").click()
    ended = await team.until(change["id"], "compensated")
    assert "not today" in ended["abort_reason"]
    await team.until(held["id"], "succeeded")
    await page.context.close()


async def test_operation_that_waits_is_paused_resumed_and_cancelled(team: Team, browser: Browser) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    change = await team.submit("ann", {**CHECK, "not_before": later})
    page = await team.browse(browser, "ann", f"/operations/{change['id']}", has_scripts=False)
    for button, state in (("Pause", "paused"), ("Resume", "queued"), ("Cancel", "cancelled"), ("Retry", "queued|running")):
        await page.get_by_role("button", name=button).click()
        if button != "Retry":
            assert (await team.until(change["id"], state))["state"] == state
            await expect(page.locator("#operation > p").first).to_contain_text(state)
    assert not page.url.endswith(change["id"])  # the retry is another one
    await page.context.close()


async def test_viewer_sees_no_forms_and_a_forged_one_is_refused(team: Team) -> None:
    change = await team.submit("ann", _change("7MB"))
    path = f"/operations/{change['id']}"
    async with _session(team, "ann") as hers, _session(team, "eve") as viewer:
        fields = _fields((await hers.get(path)).text, f"{path}/cancel")
        shown = (await viewer.get(path)).text
        assert f'action="{path}' not in shown
        own = _fields(shown, "/logout")
        for action in ("approve", "cancel", "pause", "resume", "tune", "retry", "override", "resolve"):
            told = {"reason": "x", "gate": "approval", "resolution": "undo", "plan_hash": change["plan_hash"]}
            answer = await viewer.post(f"{path}/{action}", data=own | told)
            wanted = {"tune": 400, "retry": 409}.get(action, 403)  # nothing to tune, and nothing ended, whoever asks
            assert answer.status_code == wanted, action
            assert f'href="{path}"' in answer.text  # the way back
            stolen = await viewer.post(f"{path}/{action}", data=fields | told)
            assert stolen.status_code == 403
        assert (await viewer.post("/schedules/weekly/suspend", data=own)).status_code == 403
        assert (await viewer.post("/schedules/weekly/run", data=own)).status_code == 403
        assert (await viewer.post("/audit/verify", data=own)).status_code == 403
        assert (await viewer.get("/audit")).status_code == 403
        assert 'href="/audit"' not in shown
        assert (await hers.post(f"{path}/cancel", data={"reason": "x"})).status_code == 403  # without the token of the form
        unknown = await hers.post(f"{path}/explode", data=fields)
        assert unknown.status_code == 404
        assert (await hers.post(f"{path}/resolve", data=fields | {"resolution": "x", "reason": "y"})).status_code in (400, 403)
        assert (await hers.post(f"{path}/cancel", data=fields)).status_code == 303
    assert (await team.until(change["id"], "cancelled"))["cancel_requested_by"] == "ann"


async def test_approval_of_another_plan_is_refused_and_says_what_to_do(team: Team) -> None:
    change = await team.submit("ann", _change("8MB"))
    path = f"/operations/{change['id']}"
    async with _session(team, "bob") as his, _session(team, "kim") as admin:
        fields = _fields((await his.get(path)).text, f"{path}/approve")
        assert fields["plan_hash"] == change["plan_hash"]
        for stale in ("0" * 64, ""):
            refused = await his.post(f"{path}/approve", data=fields | {"plan_hash": stale})
            assert refused.status_code == 409
            assert "look at the plan that is stored" in refused.text
        assert (await team.until(change["id"], "awaiting_approval"))["approvals"] == []
        page = (await admin.get(path)).text
        assert (await admin.post(f"{path}/cancel", data=_fields(page, f"{path}/cancel"))).status_code == 303


async def test_stream_resumes_and_ends_with_the_session(team: Team) -> None:
    change = await team.submit("ann", {**CHECK, "not_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    path = f"/operations/{change['id']}"
    async with _session(team, "eve") as viewer:
        async with viewer.stream("GET", f"{path}/stream") as stream:
            lines = stream.aiter_lines()
            mark = (await anext(lines)).removeprefix("id: ")
            logout = _fields((await viewer.get(path)).text, "/logout")
            cookies = dict(viewer.cookies)
            async with asyncio.timeout(5):
                async with viewer.stream("GET", f"{path}/stream", headers={"Last-Event-ID": mark}) as again:
                    resumed = again.aiter_lines()
                    async with team.client("ann") as hers:
                        await hers.post(f"/api/v1{path}/pause", json={"reason": "wait for it"})
                    assert (await anext(resumed)) != f"id: {mark}"  # what it has seen is not sent again
            await viewer.post("/logout", data=logout)
            begun = time.monotonic()
            rest = [line async for line in lines]
            assert time.monotonic() - begun < 20
            assert "event: ended" in rest
            assert any("Your session has ended" in line for line in rest)
        viewer.cookies.update(cookies)
        late = await viewer.get(f"{path}/stream")
        assert late.status_code == 200
        assert "work" not in late.text
        assert "Your session has ended" in late.text
    async with team.client("ann") as hers:
        await hers.post(f"/api/v1{path}/cancel", json={})


async def test_person_with_many_tabs_gets_pictures_now_and_then(team: Team) -> None:
    change = await team.submit("ann", {**CHECK, "not_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    path = f"/operations/{change['id']}/stream"
    async with _session(team, "eve") as viewer, contextlib.AsyncExitStack() as stack:
        tabs = []  # a reader that nobody keeps would be closed
        for _ in range(25):
            tabs.append((await stack.enter_async_context(viewer.stream("GET", path))).aiter_lines())
            assert (await anext(tabs[-1])).startswith("id: ")
        async with asyncio.timeout(5):
            crowded = await viewer.get(path)
        assert "retry: 15000" in crowded.text
        assert "queued" in crowded.text
        async with _session(team, "bob") as other, other.stream("GET", path) as stream:
            assert (await anext(stream.aiter_lines())).startswith("id: ")  # others have their places
    async with team.client("ann") as hers:
        await hers.post(f"/api/v1/operations/{change['id']}/cancel", json={})


async def test_evidence_is_downloaded_and_checks_itself(team: Team, tmp_path: Path) -> None:
    change = await team.submit("ann", CHECK)
    await team.until(change["id"], "succeeded")
    async with _session(team, "eve") as viewer:
        page = (await viewer.get(f"/operations/{change['id']}")).text
        assert f'href="/operations/{change["id"]}/evidence.zip"' in page
        answer = await viewer.get(f"/operations/{change['id']}/evidence.zip")
    assert answer.headers["content-type"] == "application/zip"
    pack = tmp_path / "pack.zip"
    pack.write_bytes(answer.content)
    program = tmp_path / "verify.py"
    program.write_bytes(zipfile.ZipFile(io.BytesIO(answer.content)).read("verify.py"))
    code, printed = await _run(*team.plane.command("audit", "key", "-o", "json"))
    assert code == 0
    code, report = await _run(
        sys.executable, "-I", str(program), str(pack), "--key", json.loads(printed)["item"]["verifier_key"]
    )
    assert code == 0, report


async def _run(*command: str) -> tuple[int | None, str]:
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        output, _ = await child.communicate()
    return child.returncode, output.decode()


async def test_schedule_is_run_suspended_and_resumed_by_forms(team: Team, browser: Browser) -> None:
    page = await team.browse(browser, "kim", "/schedules", has_scripts=False)
    await page.get_by_role("button", name="Suspend weekly").click()
    await expect(page.get_by_role("region", name="Schedules")).to_contain_text("suspended")
    await expect(page.get_by_role("region", name="Schedules")).to_contain_text("by kim")
    await page.get_by_role("button", name="Resume weekly").click()
    await expect(page.get_by_role("region", name="Schedules")).to_contain_text("enabled")
    await page.get_by_role("button", name="Run weekly now").click()
    await expect(page.get_by_text("schedule weekly, run now")).to_be_visible()
    await page.goto(f"{team.plane.url}/audit?action=schedule.*")
    await expect(page.get_by_role("region", name="Entries")).to_contain_text("schedule.suspended")
    await page.context.close()


async def test_audit_log_is_filtered_proved_and_verified(team: Team, browser: Browser) -> None:
    await team.submit("ann", {**CHECK, "reason": MARKUP})
    page = await team.browse(browser, "kim", "/audit?actor=ann&since=1h", has_scripts=False)
    rows = page.get_by_role("region", name="Entries").locator("tbody tr")
    assert {await row.locator("td").nth(2).inner_text() for row in await rows.all()} == {"ann"}
    await rows.first.get_by_role("link").first.click()
    await expect(page.get_by_label("Canonical text")).to_contain_text('"actor":"ann"')
    await expect(page.get_by_role("link", name="Proof as JSON")).to_be_visible()
    await page.goto(f"{team.plane.url}/audit")
    await page.get_by_role("button", name="Verify the whole log").click()
    await expect(page.get_by_text("nothing is wrong")).to_be_visible()
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_on_pages_with_work_on_them(
    team: Team, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    waiting = await team.submit("ann", _change("9MB"))
    context: BrowserContext = await browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe is injected as a script
    page = await context.new_page()
    await page.goto(f"{team.plane.url}/login")
    await page.get_by_label("Token").fill(team.tokens["kim"])
    await page.get_by_role("button", name="Log in").click()
    for path in (f"/operations/{waiting['id']}", "/", "/clusters/orders", "/gates?cluster=orders", "/slo/writes/orders"):
        await page.goto(f"{team.plane.url}{path}")
        found = await Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert serious == [], (path, [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious])
    await context.close()
    async with team.client("ann") as hers:
        await hers.post(f"/api/v1/operations/{waiting['id']}/cancel", json={})
