"""``dbre backup log``, ``exposure`` and ``map`` as a person runs them, beside a keeper that works on the same store."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from log_plane import CLUSTER, Plane, plane, sealed_set, until
from pyrage import x25519

from dbre.app import Application
from dbre.capabilities.backup.log.origin import find_origin
from dbre.cli import root
from dbre.lab.postgres import PostgresServer

CONFIG = """
fleet:
  clusters:
    - name: orders
      engine: postgresql
      environment: prod
      user: {user}
      password: file:{directory}/password
      databases: [postgres]
      instances: [{{name: orders-1, host: {host}, port: {port}}}]
    - name: lonely
      engine: postgresql
      environment: dev
      user: nobody
      instances: [{{name: lonely-1, host: 127.0.0.1, port: 1}}]
state: {{url: "sqlite:///{directory}/plane/dbre.db"}}
vaults:
  - {{name: cellar, kind: filesystem, path: {directory}/plane/vault, recipients: [{one}, {other}]}}
backup:
  directory: {directory}/plane/backup
  policies:
    - {{name: all, selector: {{environment: prod}}, vaults: [cellar], log: {{mode: archive}}}}
"""

Run = Callable[..., dict[str, Any]]


def runner(directory: Path, capsys: pytest.CaptureFixture[str], *, user: str, host: str, port: int) -> Run:
    values = {
        "directory": directory,
        "user": user,
        "host": host,
        "port": port,
        "one": x25519.Identity.generate().to_public(),
        "other": x25519.Identity.generate().to_public(),
    }
    (directory / "dbre.yaml").write_text(CONFIG.format(**values))

    def invoke(*words: str) -> dict[str, Any]:
        code = root.main(Application, ["--config", str(directory / "dbre.yaml"), *words, "-o", "json"])
        out, err = capsys.readouterr()
        document: dict[str, Any] = json.loads(out) if out.strip() else {}
        return {**document, "code": code, "error": err}

    return invoke


@pytest.fixture
def run(fresh_postgres: PostgresServer, workplace: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (workplace / "password").write_text(fresh_postgres.password.reveal())
    (workplace / "password").chmod(0o600)
    address = fresh_postgres.address
    return runner(workplace, capsys, user=fresh_postgres.superuser, host=address.host, port=address.port)


@pytest.fixture
def run_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Without any server: for what is wrong before one is asked."""
    (tmp_path / "plane").mkdir()
    (tmp_path / "password").write_text("x")
    (tmp_path / "password").chmod(0o600)
    return runner(tmp_path, capsys, user="nobody", host="127.0.0.1", port=2)


async def noted_set(one: Plane) -> None:
    origin = await find_origin(one.ground, one.ground.fleet.cluster(CLUSTER), one.ground.require_policy(CLUSTER))
    assert origin.source is not None
    start = await origin.port.position(origin.access)
    await origin.source.end_file()
    await sealed_set(one.store, origin.system_id, start, start)


async def test_status_exposure_and_map_tell_what_is_there_and_what_is_not(
    run: Run, fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    async with plane(workplace, [server], cache=server.site.cache, mode="archive") as one:
        async with one.keeping():
            found = await asyncio.to_thread(run, "backup", "exposure", "orders")
            assert found["code"] == 3, found
            assert found["items"][0]["seconds"] is None
            assert "no sealed backup set" in found["items"][0]["reason_unknown"]

            found = await asyncio.to_thread(run, "backup", "map", "orders")
            assert (found["code"], found["items"]) == (3, [])

            client = await asyncio.to_thread(
                run, "backup", "log", "archive-client", "orders", "--out", str(workplace / "dbre-archive")
            )
            assert client["code"] == 0, client
            async with await server.connect() as connection:
                await connection.execute("ALTER SYSTEM SET archive_mode = 'on'")
                command = client["item"]["setting"].partition(" = ")[2].strip("'")
                await connection.execute(f"ALTER SYSTEM SET archive_command = '{command}'")
            await server.stop()
            await server.start()
            await noted_set(one)

            async def is_within() -> bool:
                answer = await asyncio.to_thread(run, "backup", "exposure", "orders")
                return answer["code"] == 0 and {item["tier"] for item in answer["items"]} == {"best", "spool", "vault"}

            await until(is_within, "the log is archived")

            async def is_well() -> bool:  # the keeper has seen that the server answers again
                return (await asyncio.to_thread(run, "backup", "log", "status"))["code"] == 0

            await until(is_well, "the log is kept again")
            status = await asyncio.to_thread(run, "backup", "log", "status")
            assert [item["cluster"] for item in status["items"]] == ["orders"]
            assert status["items"][0]["mode"] == "archive"
            assert status["items"][0]["missing"] == 0

            async def is_on_map() -> bool:
                answer = await asyncio.to_thread(run, "backup", "map", "orders")
                return [item["kind"] for item in answer["items"]] == ["recoverable"] and answer["code"] == 0

            await until(is_on_map, "the map shows an interval")
            gaps = await asyncio.to_thread(run, "backup", "log", "gaps")
            assert (gaps["code"], gaps["items"]) == (0, [])
        await server.stop()
        status = await asyncio.to_thread(run, "backup", "log", "status", "orders")
        assert status["code"] in (3, 6)
        assert status["items"][0]["instance"] is None


@pytest.mark.parametrize(
    "words",
    [("log", "status", "lonely"), ("exposure", "lonely"), ("log", "archive-client", "lonely", "--out", "/nowhere/x")],
    ids=["status", "exposure", "client"],
)
def test_a_cluster_without_a_policy_is_one_clear_error(run_alone: Run, words: tuple[str, ...]) -> None:
    assert run_alone("db", "migrate")["code"] in (0, 2)
    found = run_alone("backup", *words)
    assert found["code"] == 2
    assert "no backup policy selects cluster lonely" in found["error"]


def test_an_unknown_cluster_is_one_clear_error(run_alone: Run) -> None:
    found = run_alone("backup", "map", "ordres")
    assert found["code"] == 2
    assert "ordres" in found["error"]
