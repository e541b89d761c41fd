"""Names of databases, roles and clusters that try to break out of terminals, pages, metrics and JSON."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from plane_kit import cluster, configuration, events, get, run, slo, until, write_configuration
from prometheus_client.parser import text_string_to_metric_families

from dbre.core.errors import ExitCode
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.postgres import PostgresServer

MARKUP = "<script>alert(1)</script>"
DATABASE = f"we\"ird'; DROP TABLE x; -- {MARKUP}"[:63]
WILD = "line\nbreak\x1b[31m\u202e{MARKUP}\t\x7f"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
pytestmark = pytest.mark.timeout(180)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.slow
async def test_hostile_names_reach_nobody_unescaped(tmp_path: Path, fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as admin:
        for name in (DATABASE, WILD):
            await admin.execute(f"CREATE DATABASE {quoted(name)}")
            await admin.execute(f"CREATE ROLE {quoted(name)} LOGIN SUPERUSER PASSWORD '{fresh_postgres.password.reveal()}'")
    orders = cluster(tmp_path, fresh_postgres, databases=[DATABASE], user=DATABASE)
    hostile = cluster(tmp_path, fresh_postgres, "refused", databases=[MARKUP + "'\""], user=f"no such {MARKUP}")
    hostile["instances"] = [{"name": "refused-1", "host": "127.0.0.2", "port": fresh_postgres.address.port}]
    document = configuration([orders, hostile], directory=tmp_path)
    document["slos"][0]["description"] = f"{MARKUP} & \"quotes\" 'here'"
    document["exporter"] = {"check_interval": "1s"}
    plane = ControlPlaneProcess(tmp_path, document)
    await plane.start()
    try:
        await until(lambda: _is_measured(plane), what=plane.log_tail())
        await until(lambda: _has_database_metrics(plane), what="metrics of databases")
        await _pages_are_clean(plane)
        await _metrics_are_clean(plane)
        await _command_line_is_clean(plane)
        assert (await get(plane, "/api/v1/clusters/orders"))["databases"] == [DATABASE]  # JSON says it as it is
        log = plane.log_file.read_text()
        assert "Traceback" not in log
        assert not CONTROL.search(log.replace("\n", ""))
    finally:
        assert await plane.stop() == 0


async def _is_measured(plane: ControlPlaneProcess) -> bool:
    good, refused = await slo(plane, "orders"), await slo(plane, "refused")
    return good["good"] >= 2 and refused["bad"] + refused["excluded"] >= 2 and bool(await events(plane, "observe.endpoint_bad"))


async def _has_database_metrics(plane: ControlPlaneProcess) -> bool:
    async with plane.client() as client:
        return "break" in (await client.get("/metrics")).text


async def _pages_are_clean(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as browser:
        await browser.post("/login", data={"token": plane.token})
        for path in (
            "/",
            "/slo",
            "/slo/writes/orders",
            "/clusters/orders",
            "/clusters/refused",
            "/events",
            f"/clusters/{MARKUP}",
        ):
            answer = await browser.get(path, headers={"Accept": "text/html"})
            assert answer.headers["content-type"].startswith("text/html"), path
            assert MARKUP not in answer.text, path
            assert not CONTROL.search(answer.text), path
        assert "&lt;script&gt;" in (await browser.get("/slo/writes/orders")).text  # shown, not left out


async def _metrics_are_clean(plane: ControlPlaneProcess) -> None:
    async with plane.client() as client:
        text = (await client.get("/metrics")).text
    families = list(text_string_to_metric_families(text))  # a stray newline or quote would end the parser
    assert not CONTROL.search(text.replace("\n", ""))
    labels = {value for family in families for sample in family.samples for value in sample.labels.values()}
    assert DATABASE in labels
    assert any(value.startswith("line\nbreak\N{REPLACEMENT CHARACTER}[31m") for value in labels)


async def _command_line_is_clean(plane: ControlPlaneProcess) -> None:
    commands = [("fleet", "list", "-o", "wide"), ("slo", "list"), ("events", "list", "-o", "wide"), ("probe", "refused")]
    commands += [("fleet", "topology"), ("fleet", "doctor"), ("config", "show")]
    for ended, command in zip(await asyncio.gather(*(run(*plane.command(*one)) for one in commands)), commands, strict=True):
        assert ended.code in (ExitCode.OK, ExitCode.FINDINGS), (command, ended.errors)
        assert not CONTROL.search(ended.output.replace("\n", "") + ended.errors.replace("\n", "")), command
    listed = await run(*plane.command("events", "list", "-o", "json"))
    assert json.loads(listed.output)["items"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\nb", "control and invisible characters are not allowed in a name"),
        ("a\x1b[2J", "text holds the character U+001B"),
        ("a\x00b", "text holds the character U+0000"),
        ("\u202egro", "text holds the character U+202E"),
    ],
)
async def test_names_with_control_characters_are_refused_in_the_configuration(tmp_path: Path, name: str, message: str) -> None:
    document = configuration([], directory=tmp_path)
    document["fleet"]["clusters"] = [
        {
            "name": "orders",
            "engine": "postgresql",
            "databases": [name],
            "user": name,
            "instances": [{"name": "a", "host": name}],
        }
    ]
    plane = write_configuration(tmp_path, document)
    ended = await run(*plane.command("server"), cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "the configuration has 3 problems" in ended.errors
    assert message in ended.errors
    assert not CONTROL.search(ended.errors.replace("\n", ""))
