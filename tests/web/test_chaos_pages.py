"""Experiments on the pages and in the API: scores, runs, reports, and the switch that ends them all."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from test_pages import log_in

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.runs.repository import begin_run
from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.demo.control_plane import ControlPlaneProcess

MARKUP = "<script>alert(1)</script>"
NOW = datetime.now(UTC).replace(microsecond=0)
RUN = uuid.UUID("019a0000-0000-7000-8000-0000000000c1")


def at(seconds: float) -> str:
    return (NOW - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()


def made() -> Run:
    document = Experiment.model_validate({"cluster": "orders", "faults": [{"fault": "freeze", "instance": "orders-1"}]})
    bad = {"probe": MARKUP, "good": 1, "bad": 2, "first_bad": MARKUP, "first_bad_at": at(2), "longest_seconds": 2.0}
    fault = {"fault": "freeze", "instance": "orders-1", "is_reverted": True, "detail": MARKUP, "on_at": at(1), "off_at": at(11)}
    return Run(
        id=RUN,
        suite_id=None,
        cluster="orders",
        title=f"The primary freezes {MARKUP}",
        entry="leader-failure",
        state=RunState.DEVIATED,
        began_at=NOW - timedelta(hours=1),
        ended_at=NOW - timedelta(minutes=59),
        experiment=document.model_dump(mode="json", by_alias=True),
        observed={"faults": [fault], "during": [{**bad, "holds": False}], "after": [], "settled_at": at(12)},
        surroundings=None,
        is_final=False,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(control_plane: ControlPlaneProcess) -> ControlPlaneProcess:
    """A control plane whose store holds a run."""
    url = f"sqlite:///{control_plane.directory}/dbre.db"
    async with open_store(url, clock=SystemClock()) as store:
        await begin_run(store, made())
    return control_plane


async def test_the_api_tells_runs_reports_and_scores(shown: ControlPlaneProcess) -> None:
    async with shown.client() as client:
        (run,) = (await client.get("/api/v1/chaos/runs", params={"cluster": "orders"})).raise_for_status().json()["items"]
        report = (await client.get(f"/api/v1/chaos/runs/{str(RUN)[-12:]}")).raise_for_status().json()
        score = (await client.get("/api/v1/chaos/scores/orders")).raise_for_status().json()
        scores = (await client.get("/api/v1/chaos/scores")).raise_for_status().json()["items"]
    assert (run["id"], run["state"], run["score_ratio"]) == (str(RUN), "deviated", 0.5)
    assert report["detection"]["by"] == f"probe {MARKUP}"
    assert {one["slo"] for one in report["slos"]} >= {"writes@orders"}  # read from the stored slots
    assert score["score_points"] == pytest.approx(15, abs=0.5)
    assert [one["cluster"] for one in scores] == ["gone", "orders"]


@pytest.mark.parametrize("path", ["runs/nope", "runs/zzzzzzzz", "scores/nope"])
async def test_what_no_experiment_was_is_not_found(shown: ControlPlaneProcess, path: str) -> None:
    async with shown.client() as client:
        answer = await client.get(f"/api/v1/chaos/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["hint"]


async def test_the_api_stops_all_experiments_and_wants_a_reason(shown: ControlPlaneProcess) -> None:
    async with shown.client() as client:
        assert (await client.post("/api/v1/chaos/stop", json={})).status_code == 422
        closed = (await client.post("/api/v1/chaos/stop", json={"reason": "drill"})).raise_for_status().json()
        assert (closed["is_closed"], closed["reason"]) == (True, "drill")
        assert (await client.get("/api/v1/chaos/switch")).raise_for_status().json()["is_closed"]
        opened = (await client.post("/api/v1/chaos/open", json={"reason": "over"})).raise_for_status().json()
    assert not opened["is_closed"]


async def test_pages_show_scores_and_the_report_and_stop_everything(browser: Browser, shown: ControlPlaneProcess) -> None:
    context = await browser.new_context(bypass_csp=True)  # axe is injected as a script
    page = await log_in(context, shown, "/chaos")
    await expect(page.get_by_role("region", name="Scores").get_by_role("row", name="orders")).to_contain_text("50")
    await expect(page.get_by_role("region", name="Scores").get_by_role("row", name="gone")).to_contain_text("never run")
    await _is_accessible(page)
    await page.get_by_label("Reason").fill(MARKUP)
    await page.get_by_role("button", name="Stop all experiments").click()
    await expect(page.locator("main")).to_contain_text(f"stopped all experiments at {NOW:%Y}")
    await expect(page.locator("main")).to_contain_text(MARKUP)
    await page.get_by_label("Reason").fill("over")
    await page.get_by_role("button", name="Let experiments begin again").click()
    await expect(page.locator("main")).to_contain_text("experiments may run")
    await page.get_by_role("region", name="Runs").get_by_role("link").first.click()
    await expect(page.get_by_role("region", name="Findings")).to_contain_text(MARKUP)
    await expect(page.get_by_role("region", name="Hypothesis")).to_contain_text("1 of 3 held")
    await _is_accessible(page)
    await page.set_viewport_size({"width": 360, "height": 800})
    for path in (page.url, f"{shown.url}/chaos"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, "tables scroll by themselves, never the page"
    await context.close()


async def _is_accessible(page: Page) -> None:
    found = await Axe().run(page)
    assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
