"""The pages in a real browser: with JavaScript, without it, and judged by axe-core."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, expect

from dbre.demo.control_plane import ControlPlaneProcess

PAGES = [
    "/",
    "/slo",
    "/slo/writes/orders",
    "/slo/writes/gone",
    "/slo/writes/orders?graphs=all",
    "/incidents",
    "/incidents?state=open",
    "/incidents/1",
    "/oncall",
    "/reports",
    "/backups",
    "/backups/orders",
    "/ha",
    "/ha/orders",
    "/ha/gone",
    "/clusters/orders",
    "/clusters/gone",
    "/operations",
    "/operations?state=attention&target=cluster/orders",
    "/gates",
    "/gates?cluster=orders&kind=settings.apply&risk=severe",
    "/schedules",
    "/workers",
    "/stack",
    "/events",
    "/audit",
    "/audit?actor=nobody",
    "/audit/0",
    "/support",
]


async def log_in(context: BrowserContext, control_plane: ControlPlaneProcess, target: str = "/") -> Page:
    page = await context.new_page()
    await page.goto(f"{control_plane.url}{target}")
    await page.get_by_label("Token").fill(control_plane.token)
    await page.get_by_role("button", name="Log in").click()
    return page


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["with JavaScript", "without JavaScript"])
async def visitor(
    browser: Browser, control_plane: ControlPlaneProcess, request: pytest.FixtureRequest
) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(java_script_enabled=request.param == "with JavaScript")
    await (await log_in(context, control_plane)).close()
    yield context
    await context.close()


@pytest.mark.parametrize("path", PAGES)
async def test_page_shows_its_content_and_breaks_no_rule(
    visitor: BrowserContext, control_plane: ControlPlaneProcess, path: str
) -> None:
    page = await visitor.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    answer = await page.goto(f"{control_plane.url}{path}")
    assert answer is not None
    assert answer.status == 200
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_role("link", name="SLOs", exact=True)).to_be_visible()
    assert await page.locator("main table, main .empty").count() > 0
    await page.wait_for_timeout(300)
    assert complaints == []
    await page.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["light", "dark"])
async def inspector(
    browser: Browser, control_plane: ControlPlaneProcess, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    context = await browser.new_context(color_scheme=request.param, bypass_csp=True)  # axe is injected as a script
    yield await log_in(context, control_plane)
    await context.close()


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nowhere"])
async def test_axe_finds_no_serious_violation(inspector: Page, control_plane: ControlPlaneProcess, path: str) -> None:
    await inspector.goto(f"{control_plane.url}{path}")
    found = await Axe().run(inspector)
    serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == [], [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]


async def test_interactive_chart_shows_utc_and_24_hours(browser: Browser, control_plane: ControlPlaneProcess) -> None:
    context = await browser.new_context(timezone_id="Asia/Tokyo")
    page = await log_in(context, control_plane, "/slo/writes/orders")
    await page.wait_for_selector("#burn-down .uplot")
    over = page.locator("#burn-down .u-over")
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    await page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 30)
    legend = page.locator("#burn-down .u-legend .u-value").first
    await expect(legend).to_contain_text(":")
    shown = (await legend.inner_text()).strip()
    moment = datetime.strptime(shown, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(hours=2)
    await context.close()


async def test_login_returns_to_the_page_that_was_asked_for_and_logout_ends_it(
    browser: Browser, control_plane: ControlPlaneProcess
) -> None:
    context = await browser.new_context()
    page = await log_in(context, control_plane, "/slo/writes/orders?x=1")
    await expect(page).to_have_url(f"{control_plane.url}/slo/writes/orders?x=1")
    await page.get_by_role("button", name="Log out").click()
    await page.goto(f"{control_plane.url}/slo")
    await expect(page.get_by_label("Token")).to_be_visible()
    await context.close()


async def test_wrong_token_is_refused_with_a_reason(browser: Browser, control_plane: ControlPlaneProcess) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{control_plane.url}/login?next=//evil.example/")
    await page.get_by_label("Token").fill("guess")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("the token is wrong")
    await page.get_by_label("Token").fill(control_plane.token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{control_plane.url}/")  # not to the other site
    await context.close()


async def test_markup_from_the_configuration_is_text(visitor: BrowserContext, control_plane: ControlPlaneProcess) -> None:
    page = await visitor.new_page()
    await page.goto(f"{control_plane.url}/slo/writes/orders")
    await expect(page.get_by_text("Orders can be placed <script>alert(1)</script>")).to_be_visible()
    await page.close()


async def test_table_renews_itself_without_a_reload(browser: Browser, control_plane: ControlPlaneProcess) -> None:
    context = await browser.new_context()
    page = await log_in(context, control_plane, "/slo/writes/gone")
    await page.evaluate("window.stayed = true")
    cell = page.locator("dt:has-text('Bad of valid') + dd")
    before = await cell.inner_text()
    await expect(cell).not_to_have_text(before, timeout=25_000)
    assert await page.evaluate("window.stayed")
    await expect(page.locator(".uplot")).to_have_count(1)
    await context.close()


async def test_a_rule_that_fires_shows_its_burn_against_its_threshold(visitor: BrowserContext, control_plane) -> None:
    async with control_plane.client() as client, asyncio.timeout(60):
        while not (await client.get("/api/v1/alerts")).json()["items"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
    page = await visitor.new_page()
    await page.goto(f"{control_plane.url}/slo/writes/gone")
    graph = page.get_by_role("img", name="Burn rates of rule").first
    await expect(graph).to_be_visible()
    assert await graph.locator("line.threshold").count() == 1
    assert await graph.locator("polyline.line").count() >= 1
    assert await page.locator("svg g.mark.incident").count() == 1
    await expect(page.locator("ul.marks a[href^='/incidents/']")).to_be_visible()
    await page.goto(f"{control_plane.url}/slo/writes/orders?graphs=all")
    await expect(page.get_by_role("img", name="Burn rates of rule")).not_to_have_count(0)
    await page.close()


async def test_composites_and_open_incidents_stand_where_they_belong(
    visitor: BrowserContext, control_plane: ControlPlaneProcess
) -> None:
    page = await visitor.new_page()
    await page.goto(f"{control_plane.url}/slo/reads/orders")
    await expect(page.get_by_role("region", name="Composites").get_by_role("link", name="writes")).to_be_visible()
    await page.goto(f"{control_plane.url}/slo")
    await expect(page.get_by_role("region", name="Composites").get_by_role("row", name="shop")).to_contain_text("as a journey")
    await page.goto(f"{control_plane.url}/clusters/gone")
    await expect(page.locator("h2:has-text('Incidents') + ul a").first).to_be_visible()
    await page.close()


async def test_table_whose_session_ended_leads_to_the_login_page_and_back(
    browser: Browser, control_plane: ControlPlaneProcess
) -> None:
    context = await browser.new_context()
    page = await log_in(context, control_plane, "/slo")
    await expect(page.get_by_role("table").first).to_be_visible()
    await context.clear_cookies()
    await expect(page).to_have_url(f"{control_plane.url}/login?next=%2Fslo", timeout=25_000)
    await page.get_by_label("Token").fill(control_plane.token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{control_plane.url}/slo")
    await context.close()


async def test_vendored_files_are_the_published_ones() -> None:
    import hashlib

    import dbre.web

    folder = Path(dbre.web.__file__).parent / "static" / "vendor"
    recorded = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    found = {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir() if one.suffix in (".js", ".css")
    }
    assert found == recorded
