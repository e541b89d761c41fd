"""The API is fuzzed from its own description: no 500, and no answer that the description does not announce."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dbre.demo.control_plane import ControlPlaneProcess

ACTS = ("approve", "pause", "resume", "cancel", "retry", "resolve", "tune", "override")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_fuzzing_finds_no_undocumented_answer(other_control_plane: ControlPlaneProcess, tmp_path: Path) -> None:
    control_plane = other_control_plane  # it has heard so many wrong tokens afterwards that it answers 429
    schemathesis = Path(sys.executable).with_name("schemathesis")
    child = await asyncio.create_subprocess_exec(
        str(schemathesis),
        "--config-file",
        str(Path(__file__).with_name("schemathesis.toml")),
        "run",
        f"{control_plane.url}/api/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {control_plane.token}",
        "--checks",
        "all",
        "--max-examples",
        "12",
        "--no-color",
        "--seed",
        "1",
        cwd=tmp_path,
        env=os.environ | {"NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode(errors="replace")[-6000:]


async def test_description_names_every_route_and_its_refusals(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/clusters",
        "/api/v1/clusters/{name}",
        "/api/v1/slos",
        "/api/v1/slos/{name}/{cluster}",
        "/api/v1/slos/{name}/{cluster}/burn-down",
        "/api/v1/alerts",
        "/api/v1/backups",
        "/api/v1/backups/{cluster}",
        *(f"/api/v1/ha/{{cluster}}{part}" for part in ("", "/drills", "/drills/{drill}")),
        "/api/v1/drills/{drill}",
        *(f"/api/v1/chaos/{part}" for part in ("open", "runs", "runs/{run}", "scores", "scores/{cluster}", "stop", "switch")),
        "/api/v1/incidents",
        "/api/v1/incidents/{name}",
        *(f"/api/v1/incidents/{{name}}/{act}" for act in ("acknowledge", "move", "note")),
        "/api/v1/deploys",
        "/api/v1/oncall",
        "/api/v1/reports",
        "/hooks/alertmanager",
        "/hooks/slack",
        "/api/v1/events",
        "/api/v1/identity",
        "/api/v1/gates",
        "/api/v1/gates/held",
        "/api/v1/gates/holders",
        "/api/v1/gates/windows",
        "/api/v1/schedules",
        "/api/v1/schedules/{name}/suspend",
        "/api/v1/schedules/{name}/resume",
        "/api/v1/schedules/{name}/run",
        "/api/v1/workers",
        "/api/v1/zones",
        "/api/v1/stack",
        "/api/v1/audit/entries",
        "/api/v1/audit/entries/{index}",
        "/api/v1/audit/entries/{index}/proof",
        "/api/v1/audit/checkpoint",
        "/api/v1/operations",
        "/api/v1/operations/plan",
        "/api/v1/operations/{operation_id}",
        *(f"/api/v1/operations/{{operation_id}}/{act}" for act in ACTS),
    }
    guarded = [methods for path, methods in document["paths"].items() if path.startswith("/api/")]
    assert all("401" in one["responses"] for methods in guarded for one in methods.values())
