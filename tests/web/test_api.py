"""The API of a running control plane: what it says, whom it lets in, and that it keeps to its own description."""

import asyncio
import json

import httpx
import pytest

from dbre.demo.control_plane import ControlPlaneProcess

MARKUP = "<script>alert(1)</script>"


async def until(client: httpx.AsyncClient, path: str, condition, seconds: float = 30) -> dict:
    """Poll ``path`` until ``condition`` holds for the document."""
    async with asyncio.timeout(seconds):
        while True:
            document = (await client.get(path)).raise_for_status().json()
            if condition(document):
                return document
            await asyncio.sleep(0.2)


async def test_slos_are_listed_worst_first_with_exact_numbers(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        document = await until(client, "/api/v1/slos", lambda found: all(one["total"] >= 3 for one in found["items"]))
    worst, best = document["items"][0], next(one for one in document["items"] if one["id"] == "writes@orders")
    assert (worst["cluster"], best["cluster"]) == ("gone", "orders")
    assert worst["bad"] == worst["total"]
    assert worst["good"] == 0
    assert best["good"] + best["bad"] == best["total"]
    assert best["good"] > best["bad"]  # a loaded machine may delay the first probe beyond its limit
    assert (best["budget"]["consumed_exact"] == "0") is (best["bad"] == 0)
    assert worst["telemetry_state"] in ("ok", "source_down")


async def test_dead_database_pages_and_its_endpoint_event_is_listed(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        alerts = await until(client, "/api/v1/alerts", lambda found: "gone" in {one["cluster"] for one in found["items"]})
        events = await until(client, "/api/v1/events?kind=slo.*", lambda found: found["items"])
    assert "writes" in {one["slo"] for one in alerts["items"] if one["cluster"] == "gone"}
    assert "gone" in {one["data"].get("cluster") for one in events["items"]}


@pytest.mark.parametrize("path", ["/api/v1/slos", "/api/v1/clusters", "/api/v1/events", "/api/v1/alerts", "/metrics"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dTpw"}])
async def test_without_the_token_nothing_is_told(control_plane: ControlPlaneProcess, path: str, header: dict[str, str]) -> None:
    async with control_plane.client(authenticated=False) as client:
        answer = await client.get(path, headers=header)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "orders" not in answer.text


async def test_health_and_readiness_need_no_token_and_tell_no_names(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client(authenticated=False) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert {one["part"] for one in ready.json()["parts"]} == {"store", "slo", "prober"}


async def test_metrics_show_the_dead_instance_as_down(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client, asyncio.timeout(40):
        while True:
            lines = (await client.get("/metrics")).text.splitlines()
            up = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if line.startswith("dbre_up{")}
            if len(up) == 2:
                break
            await asyncio.sleep(0.3)
    assert {("gone" in name): float(value) for name, value in up.items()} == {True: 0.0, False: 1.0}


async def test_foreign_host_name_is_refused(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        answer = await client.get("/api/v1/slos", headers={"Host": "evil.example"})
    assert answer.status_code == 421


async def test_every_answer_carries_the_security_headers(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client(authenticated=False) as client:
        for path in ("/healthz", "/login", "/api/v1/slos", "/nowhere", "/static/style.css"):
            headers = (await client.get(path)).headers
            assert "unsafe-eval" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("target", ["//[", "//evil.example", "/\\evil.example", "x://[", "//\u2100", "/\n/evil.example"])
async def test_login_page_leads_nowhere_else_whatever_it_is_told(control_plane: ControlPlaneProcess, target: str) -> None:
    async with control_plane.client(authenticated=False) as client:
        answer = await client.get("/login", params={"next": target})
        assert answer.status_code == 200
        assert '<input type="hidden" name="next" value="/">' in answer.text
        sent = await client.post("/login", data={"token": control_plane.token, "next": target})
        assert (sent.status_code, sent.headers["location"]) == (303, "/")


async def test_a_page_with_a_very_long_address_still_asks_for_the_token(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client(authenticated=False) as client:
        answer = await client.get("/events", params={"subject": "x" * 600}, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/login")


async def test_unknown_names_are_404_with_a_reason(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        for path in ("/api/v1/clusters/nope", "/api/v1/slos/writes/nope", "/api/v1/slos/%00/x", f"/api/v1/clusters/{MARKUP}"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["error"]["code"] in ("web.not_found", "web.http_404")


async def test_command_line_and_api_give_the_same_numbers(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        await until(client, "/api/v1/slos", lambda found: all(one["total"] for one in found["items"]))
        before = (await client.get("/api/v1/slos")).json()["items"]
        await asyncio.sleep(1.5)  # flushed each second
        child = await asyncio.create_subprocess_exec(
            *control_plane.command("slo", "list", "-o", "json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await child.communicate()
        after = (await client.get("/api/v1/slos")).json()["items"]
    assert child.returncode == 0, errors
    rows = json.loads(output)["items"]
    assert [one["cluster"] for one in rows] == [one["cluster"] for one in before]
    by_id = [sorted(found, key=lambda one: one["id"]) for found in (before, rows, after)]
    for first, row, last in zip(*by_id, strict=True):
        assert first["bad"] <= row["bad"] <= last["bad"]
