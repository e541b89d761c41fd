"""Incidents, on-call and reports: what the API says, and what people do on the pages."""

import asyncio

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.demo.control_plane import ControlPlaneProcess


async def first(client: httpx.AsyncClient) -> dict:
    """The incident of the cluster that is gone; a busy machine may delay probes of the other, which is then one too."""
    items = (await client.get("/api/v1/incidents?is_open=true")).raise_for_status().json()["items"]
    return next(one for one in items if one["cluster"] == "gone")


async def test_the_dead_cluster_is_an_incident_with_its_alert_and_a_timeline(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        one = (await client.get(f"/api/v1/incidents/{(await first(client))['name']}")).raise_for_status().json()
    assert (one["cluster"], one["slo"], one["urgency"]) == ("gone", "writes", "page")
    assert one["alerts"][0]["instance"] == "writes@gone"
    assert {"alert", "state"} & {line["kind"] for line in one["timeline"]}
    assert one["detected_at"] >= one["started_at"]


async def test_a_note_by_the_api_is_in_the_timeline(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        name = (await first(client))["name"]
        (await client.post(f"/api/v1/incidents/{name}/note", json={"text": "asked the <b>hoster</b>"})).raise_for_status()
        lines = (await client.get(f"/api/v1/incidents/{name}")).json()["timeline"]
    assert "asked the <b>hoster</b>" in [line["text"] for line in lines]


@pytest.mark.parametrize(("name", "status"), [("999", 404), ("nonsense", 404), ("INC-0", 404)])
async def test_an_incident_that_is_not_there_is_404(control_plane: ControlPlaneProcess, name: str, status: int) -> None:
    async with control_plane.client() as client:
        answer = await client.get(f"/api/v1/incidents/{name}")
    assert answer.status_code == status
    assert answer.json()["error"]["hint"]


async def test_a_state_that_may_not_follow_is_refused_with_those_that_may(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        name = (await first(client))["name"]
        answer = await client.post(f"/api/v1/incidents/{name}/move", json={"state": "reviewed"})
        unknown = await client.post(f"/api/v1/incidents/{name}/move", json={"state": "gone"})
    assert answer.status_code == 400
    assert unknown.status_code == 400
    assert "is no state of an incident" in unknown.json()["error"]["message"]


async def test_a_deploy_is_told_and_comes_into_the_timeline_of_its_cluster(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        told = await client.post("/api/v1/deploys", json={"cluster": "gone", "what": "checkout", "version": "4.2"})
        unknown = await client.post("/api/v1/deploys", json={"cluster": "nowhere", "what": "checkout"})
    assert (told.status_code, told.json()["kind"]) == (201, "deploy.recorded")
    assert unknown.status_code == 400


async def test_who_is_on_call_and_the_key_figures_are_told(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        duties = (await client.get("/api/v1/oncall")).raise_for_status().json()["items"]
        metrics = (await client.get("/api/v1/reports?days=7")).raise_for_status().json()["items"]
    assert [one["schedule"] for one in duties] == ["databases"]
    assert any(one["metric"].startswith("mttd") for one in metrics)
    assert any(one["value"] is None for one in metrics)  # nothing was deployed twice: not known is not zero


async def test_the_hook_of_alertmanager_is_closed_without_its_configuration(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client(authenticated=False) as client:
        answer = await client.post("/hooks/alertmanager", json={})
    assert answer.status_code == 404


async def test_a_person_takes_an_incident_in_hand_on_its_page(browser: Browser, control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        name = (await first(client))["name"]
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, control_plane, f"/incidents/{name}")
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_text("in the hands of")).to_be_visible()
    await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await page.locator("form[action$='/move'] select").select_option("identified")
    await page.get_by_role("button", name="Move on").click()
    await expect(page.get_by_text("identified").first).to_be_visible()
    await context.close()


async def test_the_page_shows_diagnosis_and_cost_of_the_dead_cluster(
    browser: Browser, control_plane: ControlPlaneProcess
) -> None:
    async with control_plane.client() as client, asyncio.timeout(60):
        name = (await first(client))["name"]
        while "playbook" not in {line["kind"] for line in (await client.get(f"/api/v1/incidents/{name}")).json()["timeline"]}:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
        one = (await client.get(f"/api/v1/incidents/{name}")).json()
    assert [cost["instance"] for cost in one["costs"]] == ["writes@gone"]
    assert one["bad_events"] >= one["costs"][0]["bad"] > 0
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, control_plane, f"/incidents/{name}")
    await expect(page.get_by_role("region", name="Cost").get_by_role("row", name="writes@gone")).to_be_visible()
    summary = page.locator("details[id^=diagnosis] summary").first
    await expect(summary).to_contain_text("playbook triage on gone-1")
    answer = page.locator("details[id^=diagnosis] li").first
    await expect(answer).to_be_hidden()
    await summary.click()
    await expect(answer).to_be_visible()
    await context.close()


async def test_an_incident_is_declared_followed_up_and_closed_on_its_page(
    browser: Browser, control_plane: ControlPlaneProcess
) -> None:
    context = await browser.new_context(bypass_csp=True)  # axe is injected as a script
    page = await log_in(context, control_plane, "/incidents")
    await page.get_by_label("What users notice").fill("Orders <b>twice</b>")
    await page.get_by_label("Severity").select_option("sev1")
    await page.get_by_label("Cluster").select_option("orders")
    await page.get_by_label("Tell people by").select_option("ticket")
    await page.get_by_role("button", name="Declare an incident").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Orders <b>twice</b>")
    await page.locator("form[action$='/move'] select").select_option("resolved")
    await page.get_by_role("button", name="Move on").click()
    await expect(page.get_by_label("Why without a postmortem")).to_be_visible()  # it is a sev1
    await page.get_by_role("button", name="Draft the postmortem").click()
    await page.locator("details[id^=postmortem] summary").click()
    await expect(page.get_by_role("region", name="Text of the postmortem")).to_contain_text("## Timeline")
    await page.get_by_label("What", exact=True).fill("Make it idempotent")
    await page.get_by_label("Who", exact=True).fill("ann")
    await page.get_by_role("button", name="Add an action item").click()
    found = await Axe().run(page)
    assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
    await page.get_by_role("button", name="is done").click()
    await expect(page.get_by_role("region", name="Action items")).to_contain_text("done")
    await page.get_by_role("button", name="Reviewed").click()
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.locator("#incident > p").first).to_contain_text("closed")
    await context.close()


async def test_the_page_of_duty_warns_of_a_name_that_nobody_bears(browser: Browser, control_plane: ControlPlaneProcess) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, control_plane, "/oncall")
    await expect(page.get_by_text("whom contacts: does not have")).to_be_visible()
    await expect(page.get_by_text("is on call until").or_(page.get_by_text("nobody is on call")).first).to_be_visible()
    await context.close()
