"""A real Alertmanager with our routes: a page covers the tickets of its instance, and of no other."""

import asyncio
from datetime import UTC, datetime, timedelta

from slo_kit import cluster, definition

from dbre.capabilities.slo.compiler.compilation import alertmanager_files
from dbre.capabilities.slo.compiler.subject import subjects_of
from dbre.core.fleet import Fleet
from dbre.lab.alertmanager import AlertmanagerServer

ENDS = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def alert(name: str, severity: str, **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": name, "severity": severity, **labels}, "endsAt": ENDS}


async def told(server: AlertmanagerServer) -> dict[tuple[str, str, str], tuple[str, list[str]]]:
    """State and receivers of each alert."""
    found = await server.alerts(only='test="routes"')
    return {
        (one["labels"]["alertname"], one["labels"]["severity"], one["labels"].get("group", "")): (
            one["status"]["state"],
            [receiver["name"] for receiver in one["receivers"]],
        )
        for one in found
    }


async def test_one_cause_is_told_once_and_to_whom_it_belongs(alertmanager: AlertmanagerServer) -> None:
    fleet = Fleet(clusters=(cluster(),))
    (file,) = alertmanager_files(subjects_of([definition()], fleet), page_receiver="pager", ticket_receiver="tracker")
    await alertmanager.configure(file.text)
    same = {"slo": "writes", "cluster": "orders", "test": "routes"}
    burn = "SloErrorBudgetBurn"
    await alertmanager.post(
        "/api/v2/alerts",
        [
            alert(burn, "page", rule="page-1h", **same),
            alert(burn, "ticket", rule="ticket-1d", **same),
            alert(burn, "ticket", rule="ticket-1d", group="t1", **same),
            alert("SloTelemetryLost", "page", rule="telemetry-page", group="t2", **same),
            alert(burn, "page", rule="page-1h", group="t2", **same),
        ],
    )
    expected = {
        (burn, "page", ""): ("active", ["pager"]),
        (burn, "ticket", ""): ("suppressed", ["tracker"]),
        (burn, "ticket", "t1"): ("active", ["tracker"]),
        ("SloTelemetryLost", "page", "t2"): ("active", ["pager"]),
        (burn, "page", "t2"): ("suppressed", ["pager"]),
    }
    for _ in range(300):  # inhibition is decided when a group is about to be told
        if (found := await told(alertmanager)) == expected:
            break
        await asyncio.sleep(0.2)
    await alertmanager.configure({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})
    assert found == expected
