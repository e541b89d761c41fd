"""From a frozen primary to one page: dbre, a real Prometheus with the compiled rules, a real Alertmanager with the routes."""

import re
from pathlib import Path
from typing import Any

import pytest
from plane_kit import cluster, configuration, events, run, until

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.alertmanager import AlertmanagerServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.prometheus import PrometheusServer

BURN = "SloErrorBudgetBurn"
ALERTS = [
    {"severity": "page", "long": "1m", "short": "10s", "factor": 30, "keep_firing": "1s", "name": "fast"},
    {"severity": "ticket", "long": "2m", "short": "10s", "factor": 10, "keep_firing": "1s", "name": "slow"},
]


async def compiled(plane: ControlPlaneProcess, *arguments: str) -> str:
    """The one file that the command writes."""
    out = plane.directory / "compiled"
    ended = await run(*plane.command("slo", "compile", *arguments, "--out", str(out), "--overwrite"), cwd=plane.directory)
    assert ended.code == 0, ended.errors
    (file,) = out.iterdir()
    text = file.read_text()
    file.unlink()
    return text


def told_by(prometheus_alerts: Any, state: str) -> set[str]:
    """Severities of the burn alerts in that state."""
    return {
        one["labels"]["severity"]
        for one in prometheus_alerts["data"]["alerts"]
        if one["labels"]["alertname"] == BURN and one["state"] == state
    }


async def burns(alertmanager: AlertmanagerServer) -> dict[str, dict[str, Any]]:
    """Our alerts there, by severity."""
    found = await alertmanager.alerts(only=f'alertname="{BURN}"')
    return {one["labels"]["severity"]: one for one in found if one["labels"]["cluster"] == "orders"}


async def wired(plane: ControlPlaneProcess, prometheus: PrometheusServer, alertmanager: AlertmanagerServer) -> None:
    """Prometheus scrapes dbre, evaluates the compiled rules and tells Alertmanager, which has the compiled routes."""
    await alertmanager.configure(await compiled(plane, "--to", "alertmanager"))
    rules = await compiled(plane)
    hurried = re.sub(r"(?m)^( *interval:) \S+$", r"\1 1s", rules)  # each 30 s would only make this test long
    assert hurried != rules
    token = prometheus.site.write_file(prometheus.data_directory / "dbre-token", plane.token)
    scrape = {
        "job_name": "dbre",
        "honor_labels": True,
        "authorization": {"credentials_file": str(token)},
        "static_configs": [{"targets": [f"127.0.0.1:{plane.port}"]}],
    }
    where = {"static_configs": [{"targets": [str(alertmanager.address)]}]}
    await prometheus.configure(
        config={"scrape_configs": [scrape], "alerting": {"alertmanagers": [where]}}, rules={"slo.yml": hurried}
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_frozen_primary_is_one_page_in_both_engines(
    fresh_postgres: PostgresServer, prometheus: PrometheusServer, alertmanager: AlertmanagerServer, tmp_path: Path
) -> None:
    document = configuration([cluster(tmp_path, fresh_postgres)], directory=tmp_path)
    document["slos"][0]["alerts"] = ALERTS
    plane = ControlPlaneProcess(tmp_path, document)
    await plane.start()
    try:
        await wired(plane, prometheus, alertmanager)

        async def good_events() -> bool:
            found = await prometheus.query('dbre:slo_total:increase1m{slo="writes", cluster="orders"}')
            return bool(found) and float(found[0]["value"][1]) >= 3

        await until(good_events, what="the recorded events of a healthy primary")
        assert not told_by(await prometheus.get("/api/v1/alerts"), "firing")
        assert not await burns(alertmanager)
        await fresh_postgres.freeze()

        async def fired_here() -> bool:
            return {one["data"]["severity"] for one in await events(plane, "slo.alert_fired")} == {"page"}

        async def fired_there() -> bool:
            return told_by(await prometheus.get("/api/v1/alerts"), "firing") == {"page", "ticket"}

        async def is_covered() -> bool:
            found = await burns(alertmanager)
            return set(found) == {"page", "ticket"} and found["ticket"]["status"]["state"] == "suppressed"

        await until(fired_here, what="the page of dbre, which holds its own ticket back")
        await until(fired_there, what="both alerts of Prometheus")
        await until(is_covered, what="a ticket that the page covers")
        found = await burns(alertmanager)
        assert found["page"]["status"]["state"] == "active"
        assert found["ticket"]["status"]["inhibitedBy"] == [found["page"]["fingerprint"]]
        assert [one["name"] for one in found["page"]["receivers"]] == ["page"]
        assert found["page"]["labels"]["rule"] == "fast"
        await fresh_postgres.thaw()

        async def is_over() -> bool:
            return bool(await events(plane, "slo.alert_resolved")) and not told_by(
                await prometheus.get("/api/v1/alerts"), "firing"
            )

        await until(is_over, seconds=60, what="the end of the alerts in both")
    finally:
        await plane.stop()
        await prometheus.configure(config={}, rules={})
        await alertmanager.configure({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})
