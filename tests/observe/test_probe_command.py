"""``dbre probe`` as a person runs it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from observe_kit import refusing


def configuration(directory: Path, server, **clusters: tuple) -> Path:
    document = {
        "fleet": {
            "clusters": [
                {
                    "name": name,
                    "environment": "test",
                    "engine": "postgresql",
                    "user": server.superuser,
                    "password": "env:PROBE_PASSWORD",
                    "tls": "disable",
                    "databases": ["postgres"],
                    "instances": [
                        {"name": f"{name}-{n}", "host": one.host, "port": one.port} for n, one in enumerate(addresses, 1)
                    ],
                }
                for name, addresses in clusters.items()
            ]
        }
    }
    file = directory / "dbre.yaml"
    file.write_text(json.dumps(document))
    return file


async def dbre(file: Path, server, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dbre",
        "--config",
        str(file),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PROBE_PASSWORD": server.password.reveal()},
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_a_good_endpoint_is_shown_phase_by_phase(postgres18, tmp_path):
    file = configuration(tmp_path, postgres18, orders=[postgres18.address])
    code, output, errors = await dbre(file, postgres18, "probe", "orders", "--purpose", "read", "--count", "2", "-o", "json")
    assert code == 0, errors
    document = json.loads(output)
    assert document["kind"] == "ProbeObservationList"
    first, second = document["items"]
    assert (first["outcome"], first["instance"], first["role"]) == ("good", "orders-1", "primary")
    assert first["auth_seconds"] > 0
    assert 0 < first["query_seconds"] < first["latency_seconds"]
    assert second["auth_seconds"] is None, "the second round uses the connection of the first"


async def test_an_endpoint_that_is_not_good_ends_with_exit_code_3(postgres18, tmp_path):
    file = configuration(tmp_path, postgres18, orders=[postgres18.address], gone=[refusing()])
    code, output, _ = await dbre(file, postgres18, "probe", "gone")
    assert code == 3
    assert "connection_refused" in output


async def test_an_unknown_cluster_is_a_usage_error_with_a_suggestion(postgres18, tmp_path):
    file = configuration(tmp_path, postgres18, orders=[postgres18.address])
    code, output, errors = await dbre(file, postgres18, "probe", "order")
    assert (code, output) == (2, "")
    assert "did you mean orders?" in errors
