"""The live topology on its page and in the API."""

from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.demo.control_plane import ControlPlaneProcess


async def test_the_api_tells_who_is_primary_and_what_is_wrong(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        orders = (await client.get("/api/v1/ha/orders")).raise_for_status().json()
        gone = (await client.get("/api/v1/ha/gone")).raise_for_status().json()
        unknown = await client.get("/api/v1/ha/nope")
    assert (orders["primary"], orders["verdicts"], orders["findings"]) == ("orders-1", [], []), orders
    assert [one["role"] for one in orders["nodes"]] == ["primary"]
    assert (gone["primary"], gone["nodes"][0]["contact"]) == (None, "reset")
    assert "ha.unreachable" in {one["rule"] for one in gone["findings"]}
    assert unknown.status_code == 404


async def test_the_page_of_all_clusters_leads_to_those_that_something_is_wrong_with(
    browser: Browser, control_plane: ControlPlaneProcess
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, control_plane, "/ha")
    await page.reload()  # what took longer than a second the first time is there now
    await expect(page.locator("tbody tr").first).to_contain_text("gone")
    await expect(page.get_by_role("row", name="orders")).to_contain_text("healthy")
    await page.get_by_role("link", name="gone").click()
    await expect(page.get_by_role("table", name="What is wrong")).to_contain_text("ha.unreachable")
    await context.close()
