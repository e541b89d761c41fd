"""Failovers that were drilled, on the pages and in the API: what clients saw, and what was promised."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.capabilities.ha.disaster import repository as disaster_runs
from dbre.capabilities.ha.disaster.measures import DisasterRun
from dbre.capabilities.ha.drills.measures import RunMeasures
from dbre.capabilities.ha.drills.repository import keep_run
from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.demo.control_plane import ControlPlaneProcess

MARKUP = "<script>alert(1)</script>"
NOW = datetime.now(UTC).replace(microsecond=0)
DRILL, OTHER = uuid.UUID("019a0000-0000-7000-8000-0000000000d1"), uuid.UUID("019a0000-0000-7000-8000-0000000000d2")
RUN = RunMeasures(
    number=1,
    kind="node-loss",
    by="patroni",
    old_primary="orders-1",
    new_primary=MARKUP,
    began_at=(NOW - timedelta(days=100)).isoformat(),
    outage_seconds=2.0,
    acknowledged=1000,
    lost=0,
    old_acknowledged=0,
    overlap=0,
    verdict="ok",
    predicted_most_seconds=4.0,
    history=f"/var/lib/dbre/{MARKUP}",
)

FAILOVER = DisasterRun(
    action="failover",
    site_before="north",
    site_after=MARKUP,
    primary_before="orders-1",
    primary_after="orders-2",
    began_at=NOW.isoformat(),
    rpo_seconds=5.0,
    rto_seconds=60.0,
    lost_seconds=4.0,
    achieved_rto_seconds=90.0,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def drilled(control_plane: ControlPlaneProcess) -> ControlPlaneProcess:
    """A control plane whose store holds drills: one of seven runs, two of them bad; and a good one of another cluster."""
    url = f"sqlite:///{control_plane.directory}/dbre.db"
    async with open_store(url, clock=SystemClock()) as store:
        for number in range(1, 8):
            run = replace(RUN, number=number, outage_seconds=float(number))
            bad = {5: {"lost": 3, "old_acknowledged": 2}, 7: {"lost": None, "verdict": "unknown", "warnings": (MARKUP,)}}
            await keep_run(store, DRILL, "orders", replace(run, **bad.get(number, {})))
        await disaster_runs.keep_run(store, OTHER, "orders", FAILOVER)
        await keep_run(store, OTHER, "gone", replace(RUN, kind="planned", by="dbre", began_at=NOW.isoformat()))
    return control_plane


async def test_the_api_tells_drills_and_their_runs(drilled: ControlPlaneProcess) -> None:
    async with drilled.client() as client:
        (drill,) = (await client.get("/api/v1/ha/orders/drills")).raise_for_status().json()["items"]
        shown = (await client.get(f"/api/v1/ha/orders/drills/{str(DRILL)[-12:]}")).raise_for_status().json()
    assert (drill["id"], drill["runs"], drill["p50_seconds"], drill["max_seconds"]) == (str(DRILL), 7, 4.0, 7.0)
    assert (drill["promised_seconds"], drill["lost"], drill["unjudged"], drill["old_acknowledged"]) == (4.0, 3, 1, 2)
    assert shown["median_interval_seconds"] == [1.0, 7.0]
    assert [one["outage_seconds"] for one in shown["measured"]] == [float(one) for one in range(1, 8)]
    assert [bool(one["problems"]) for one in shown["measured"]] == [False, False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nope/drills", 404),
        (f"nope/drills/{DRILL}", 404),
        (f"gone/drills/{DRILL}", 404),  # of another cluster
        ("orders/drills/zzzzzzzz", 404),
        ("orders/drills/%25%25%25%25", 404),
        ("orders/drills?limit=0", 422),
    ],
    ids=["cluster", "drill-of-no-cluster", "drill-of-another", "drill", "pattern", "limit"],
)
async def test_what_is_not_there_is_said_so(drilled: ControlPlaneProcess, path: str, status: int) -> None:
    async with drilled.client() as client:
        answer = await client.get(f"/api/v1/ha/{path}")
    assert answer.status_code == status, answer.text


async def test_pages_lead_from_the_cluster_to_each_run(browser: Browser, drilled: ControlPlaneProcess) -> None:
    context = await browser.new_context(bypass_csp=True)  # axe is injected as a script
    page = await log_in(context, drilled, "/ha/orders")
    drills = page.get_by_role("region", name="Drills")
    await expect(drills.locator("tbody tr")).to_have_count(1)
    await expect(drills).to_contain_text("not as it should be")
    await expect(page.locator("main")).to_contain_text("the last drill of node-loss is 100d")
    lost = page.get_by_role("region", name="Loss of a site")
    await expect(lost).to_contain_text("nobody could write for 1m 30s, and 1m is promised")
    await expect(lost).to_contain_text(MARKUP)
    await drills.get_by_role("link").click()
    await expect(page.get_by_role("region", name="Runs").locator("tbody tr")).to_have_count(7)
    await expect(page.get_by_role("region", name="Runs")).to_contain_text(MARKUP)
    await expect(page.get_by_role("img", name="Outage of 7 of 7 runs: median 4.0s")).to_be_visible()
    assert await page.locator("svg rect.reach").count() == 4
    assert await page.locator("svg rect.spent").count() == 3
    found = await Axe().run(page)
    assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
    await page.set_viewport_size({"width": 360, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360, "tables scroll by themselves, never the page"
    await page.goto(f"{drilled.url}/ha/gone")  # nobody answers there, and its drill is told all the same
    await expect(page.get_by_role("region", name="Drills").get_by_role("row", name="planned")).to_contain_text(
        "as it should be"
    )
    await context.close()
