"""The login page with a provider, in a real browser: the button leads in, and axe-core finds nothing."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from oidc_kit import CLIENT, CLIENT_SECRET, OidcProvider
from playwright.async_api import async_playwright, expect

from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.testing.browser import CHROMIUM_FLAGS, find_chromium


@pytest.mark.slow
async def test_button_of_the_provider_logs_a_browser_in_and_breaks_no_rule(tmp_path: Path) -> None:
    provider = OidcProvider(person={"sub": "u-1", "email": "alice@example.com", "email_verified": True})
    provider.start()
    write_private(tmp_path / "secret", CLIENT_SECRET)
    access = {
        "principals": [{"name": "alice", "oidc_subject": "u-1", "grants": [{"role": "viewer"}]}],
        "oidc": {
            "issuer": provider.issuer,
            "name": "Example",
            "client_id": CLIENT,
            "client_secret": f"file:{tmp_path / 'secret'}",
        },
    }
    plane = ControlPlaneProcess(tmp_path, {"access": access})
    await plane.start()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
            for scheme in ("light", "dark"):
                context = await browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe is injected as a script
                page = await context.new_page()
                await page.goto(f"{plane.url}/slo")
                found = await Axe().run(page)
                serious = [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
                assert serious == []
                await context.close()
            page = await (await browser.new_context()).new_page()
            await page.goto(f"{plane.url}/slo")
            await page.get_by_role("link", name="Log in with Example").click()
            await expect(page).to_have_url(f"{plane.url}/slo")
            await expect(page.get_by_text("alice", exact=True)).to_be_visible()
            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_label("Token")).to_be_visible()
            await browser.close()
    finally:
        await plane.stop()
        provider.stop()
