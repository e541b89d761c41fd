"""From ``dbre export`` through a real orchestrator and the whole control plane to an evidence pack that is checked offline."""

import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.lab.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
PLACES = ROOT / ".uv/orchestrators"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.environ.get("DBRE_ORCHESTRATORS") != "1", reason="Airflow and Prefect: make test-orchestrators"),
]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    kept = {"PATH": os.environ["PATH"], "HOME": str(cwd)} | environment
    done = subprocess.run(
        [str(one) for one in command], cwd=cwd, env=kept, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def document(directory: Path, server: PostgresServer) -> dict[str, Any]:
    write_private(directory / "password", server.password.reveal())
    return {
        "fleet": {
            "clusters": [
                {
                    "name": "orders",
                    "engine": "postgresql",
                    "user": server.superuser,
                    "password": f"file:{directory / 'password'}",
                    "tls": "disable",
                    "instances": [{"name": "orders-1", "host": server.address.host, "port": server.address.port}],
                }
            ]
        }
    }


@pytest.mark.parametrize("orchestrator", ["airflow", "prefect"])
async def test_a_check_of_a_cluster_is_run_once_and_proved(
    orchestrator: str, postgres15: PostgresServer, tmp_path: Path
) -> None:
    plane = ControlPlaneProcess(tmp_path, document(tmp_path, postgres15))
    await plane.start()
    try:
        _go_the_whole_way(orchestrator, plane, tmp_path)
    finally:
        await plane.stop()


def _go_the_whole_way(orchestrator: str, plane: ControlPlaneProcess, home: Path) -> None:
    dag = home / "dags" / "check.py"
    dag.parent.mkdir()
    export = (
        "export",
        orchestrator,
        "fleet.check",
        "-i",
        "cluster=orders",
        "--url",
        plane.url,
        "--name",
        "check",
        "--out",
        str(dag),
    )
    run(*plane.command(*export), cwd=home)
    for _ in range(2):
        output = _orchestrate(orchestrator, dag, home, plane.token)
        assert "succeeded" in output, output[-6000:]
        assert plane.token not in output
    headers = {"Authorization": f"Bearer {plane.token}"}
    found = httpx.get(f"{plane.url}/api/v1/operations", headers=headers, timeout=20).raise_for_status().json()["items"]
    assert [(one["operation"], one["state"]) for one in found] == [("fleet.check", "succeeded")] * len(found)
    assert len(found) == (1 if orchestrator == "airflow" else 2)  # one logical date; two flow runs

    pack = home / "pack.zip"
    run(*plane.command("op", "evidence", found[0]["id"], "--out", str(pack)), cwd=home)
    with zipfile.ZipFile(pack) as zipped:
        (home / "verify.py").write_bytes(zipped.read("verify.py"))
        key = zipped.read("verifier.key").decode().strip()
        assert json.loads(zipped.read("operation.json"))["dedup_key"].startswith(orchestrator)
    verdict = run(sys.executable, "-I", "-S", "verify.py", pack, "--key", key, cwd=home)
    assert "VERDICT: intact and signed with the key that you named." in verdict


def _orchestrate(orchestrator: str, dag: Path, home: Path, token: str) -> str:
    if orchestrator == "prefect":
        python = PLACES / "prefect/bin/python"
        return run(python, dag, cwd=home, DBRE_TOKEN=token, PREFECT_HOME=str(home), PREFECT_SERVER_ANALYTICS_ENABLED="false")
    airflow = PLACES / "airflow3/bin/airflow"
    # The token comes from a connection here, as Airflow keeps it.
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_DBRE": json.dumps({"conn_type": "generic", "password": token}),
    }
    run(airflow, "db", "migrate", cwd=home, **settings)
    return run(airflow, "dags", "test", "check", f"{datetime.now(UTC):%Y-%m-%d}", cwd=home, **settings)
