"""The API is fuzzed from its own description: no 500, and no answer that the description does not announce."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dbre.demo.control_plane import ControlPlaneProcess


@pytest.mark.timeout(300)
async def test_fuzzing_finds_no_undocumented_answer(control_plane: ControlPlaneProcess, tmp_path: Path) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    child = await asyncio.create_subprocess_exec(
        str(schemathesis),
        "run",
        f"{control_plane.url}/api/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {control_plane.token}",
        "--checks",
        "all",
        "--max-examples",
        "25",
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
        "/api/v1/events",
    }
    guarded = [path for path in document["paths"] if path.startswith("/api/")]
    assert all("401" in document["paths"][path]["get"]["responses"] for path in guarded)
