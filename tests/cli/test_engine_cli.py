"""``dbre engine``: engines, support and SQL, from the engines and from live servers."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_kit import SmallRuntime, context

from dbre.cli.engine_cli import list_engines, sql, support
from dbre.core.errors import Denied, ExitCode, Unreachable, Unsupported, UsageError
from dbre.core.fleet import UnknownCluster
from dbre.engines.mysql.engine import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer
from dbre.ports.engine import Facet

CLUSTER = """\
fleet:
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      user: {user}
      password: env:ORDERS_PASSWORD
      tls: disable
      databases: [postgres]
      instances: [{{name: o1, host: 127.0.0.1, port: {port}}}, {{name: o2, host: 127.0.0.1, port: 1}}]
"""


@pytest.fixture
def both() -> SmallRuntime:
    return SmallRuntime(None, PostgresEngine(), MySqlEngine())


def test_list_names_engines_and_what_installs_a_missing_driver(both: SmallRuntime) -> None:
    class Registry:
        def names(self) -> list[str]:
            return ["mysql", "postgresql"]

        def get(self, name: str) -> PostgresEngine:
            if name == "mysql":
                raise Unsupported("no driver", hint="pip install 'dbre[mysql]'")
            return PostgresEngine()

    missing, there = list_engines(SimpleNamespace(obj=SimpleNamespace(engines=Registry()))).items
    assert (missing["is_installed"], missing["hint"]) == (False, "pip install 'dbre[mysql]'")
    assert (there["is_installed"], there["default_port"], there["products"]) == (True, 5432, ["postgresql"])
    assert there["facets"] == [str(facet) for facet in Facet]
    assert missing.keys() == there.keys()


async def test_support_without_a_version_shows_what_is_declared(both: SmallRuntime) -> None:
    rows = (await support(context(both))).items
    assert {row["engine"] for row in rows} == {"mysql", "postgresql"}
    only = (await support(context(both), product="mariadb")).items
    assert {tuple(row["products"]) for row in only} == {("mariadb",)}
    (row,) = [row for row in rows if row["feature"] == "checkpointer" and row["engine"] == "postgresql"]
    assert (row["versions"], row["privilege"]) == (">=17", "CONNECT")


async def test_support_for_a_version_is_computed(both: SmallRuntime) -> None:
    def states(view: object) -> dict[str, tuple[str, str | None]]:
        return {row["feature"]: (row["state"], row["reason"]) for row in view.items}  # type: ignore[attr-defined]

    old = states(await support(context(both), "postgresql", version="16.4"))
    new = states(await support(context(both), "postgresql", version="18"))
    assert old["checkpointer"] == ("unsupported", "needs postgresql >=17, and this is 16.4")
    assert new["checkpointer"] == ("supported", None)
    assert states(await support(context(both), version="10.11", product="mariadb"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "15"}, "version 15 of which server?"),
        ({"engine": "mysql", "version": "8.0"}, "several products"),
        ({"engine": "postgresql", "version": "new"}, "'new' is not a version"),
        ({"cluster": "orders", "version": "15"}, "--cluster asks the instances"),
        ({"engine": "oracle"}, "engine oracle is not here"),
    ],
)
async def test_support_says_what_is_missing(both: SmallRuntime, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        await support(context(both), **arguments)
    assert message in caught.value.message
    assert caught.value.hint


async def test_support_of_a_cluster_is_asked_of_each_instance(
    tmp_path: Path, postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With grants, without grants, and with an instance that does not answer."""
    async with await postgres15.connect() as admin:
        for name in ("cli_granted", "cli_bare"):
            await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 's3cret-cli'".encode())
        await admin.execute(PostgresEngine().grants("cli_granted").encode())
    monkeypatch.setenv("ORDERS_PASSWORD", "s3cret-cli")
    found = {}
    for user in ("cli_granted", "cli_bare"):
        path = tmp_path / f"{user}.yaml"
        path.write_text(CLUSTER.format(user=user, port=postgres15.address.port))
        runtime = SmallRuntime(path, PostgresEngine())
        view = await support(context(runtime), cluster="orders")
        assert {row["instance"] for row in view.items} == {"o1"}
        assert [type(error) for error in view.errors] == [Unreachable]
        assert view.exit_code is ExitCode.OK  # partial: the document says so
        found[user] = {row["feature"]: (row["state"], row["reason"]) for row in view.items}
    assert found["cli_granted"]["sessions by state, blocked sessions"] == ("supported", None)
    assert found["cli_bare"]["sessions by state, blocked sessions"] == ("needs_privilege", "needs pg_monitor")
    assert found["cli_granted"]["checkpointer"][0] == "unsupported"
    assert found["cli_bare"]["product, version, role, start time"] == ("supported", None)
    with pytest.raises(UnknownCluster):
        await support(context(runtime), cluster="order")
    with pytest.raises(UsageError, match="orders runs postgresql, not mysql"):
        await support(context(runtime), "mysql", cluster="orders")


async def test_a_cluster_where_nobody_answers_fails_with_the_first_reason(
    tmp_path: Path, postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_PASSWORD", "wrong")
    path = tmp_path / "dbre.yaml"
    path.write_text(CLUSTER.format(user="cli_nobody", port=postgres15.address.port))
    runtime = SmallRuntime(path, PostgresEngine())
    view = await support(context(runtime), cluster="orders")
    assert not view.items
    assert [type(error) for error in view.errors] == [Denied, Unreachable]
    assert view.exit_code is ExitCode.DENIED


def test_sql_shows_statements_with_place_versions_and_privilege(both: SmallRuntime) -> None:
    view = sql(context(both), "postgresql", name="statistics_wal")
    assert [row["versions"] for row in view.items] == ["15-17", ">=18"]
    assert str(view.text).startswith("-- statistics_wal (postgres/sql/statistics.sql:")
    assert "versions 15-17, needs CONNECT\nSELECT" in str(view.text)
    everything = sql(context(both))
    assert {row["engine"] for row in everything.items} == {"mysql", "postgresql"}
    (row,) = sql(context(both), "postgresql", name="heartbeat_write").items
    assert row["parameters"] == ["id text", "sequence bigint"]


def test_sql_prints_the_grants_for_a_login(both: SmallRuntime) -> None:
    view = sql(context(both), "postgresql", grants=True, user='we"ird')
    assert 'GRANT pg_monitor TO "we""ird";' in str(view.text)
    assert str(view.items[0]["script"]).rstrip("\n") == view.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "heartbeat_wirte"}, "no statement is named 'heartbeat_wirte'"),
        ({"engine": "postgresql", "grants": True}, "--user NAME is missing"),
        ({"engine": "postgresql", "user": "dbre"}, "--grants is missing"),
        ({"grants": True, "user": "dbre"}, "grants of which engine?"),
        ({"engine": "postgresql", "grants": True, "user": "dbre", "name": "x"}, "--name picks a statement"),
        ({"engine": "postgresql", "grants": True, "user": ""}, "has 1 to 63 bytes"),
    ],
)
def test_sql_says_what_is_missing(both: SmallRuntime, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        sql(context(both), **arguments)
    assert message in caught.value.message
    assert caught.value.hint


def test_the_command_itself_prints_documents() -> None:
    command = [sys.executable, "-m", "dbre", "engine", "sql", "postgresql", "--name", "identify", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    document = json.loads(done.stdout)
    assert document["kind"] == "NamedQueryList"
    assert document["items"][0]["privilege"] == "CONNECT"
