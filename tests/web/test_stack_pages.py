"""The services of the stack: what the page and the API say of one that does not answer."""

import asyncio

import pytest_asyncio
from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.demo.control_plane import ControlPlaneProcess


@pytest_asyncio.fixture
async def checked(control_plane: ControlPlaneProcess) -> dict:
    async with control_plane.client() as client, asyncio.timeout(60):
        while not (found := (await client.get("/api/v1/stack")).raise_for_status().json()["items"]):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
    return found[0]


async def test_a_service_that_does_not_answer_is_down_on_page_and_api(
    browser: Browser, control_plane: ControlPlaneProcess, checked: dict
) -> None:
    assert (checked["service"], checked["kind"], checked["state"]) == ("metrics", "prometheus", "down")
    assert checked["latency_seconds"] is None
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, control_plane, "/stack")
    row = page.get_by_role("row", name="metrics")
    await expect(row).to_contain_text("down")
    await expect(row).to_contain_text("no answer")
    await context.close()
