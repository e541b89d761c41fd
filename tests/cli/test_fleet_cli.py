import asyncio
from pathlib import Path

import psycopg
import pytest
from cli_kit import SmallRuntime, context
from psycopg import sql

from dbre.cli.fleet_cli import doctor, list_clusters, show, topology
from dbre.core.checks import Severity
from dbre.core.errors import ExitCode, UsageError
from dbre.core.fleet import UnknownCluster
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import PostgresPair

THREE = """\
fleet:
  clusters:
    - {name: orders, environment: prod, engine: postgresql, labels: {tier: "0"}, databases: [a, b], user: dbre, password: env:X,
       instances: [{name: o1, host: db1}, {name: o2, host: db2, port: 5433}]}
    - {name: cache, environment: prod, engine: redis, instances: [{name: c1, host: db1}]}
    - {name: same, environment: test, engine: mysql, instances: [{name: orders, host: db3}]}
"""


def small(directory: Path, text: str, *engines: PostgresEngine) -> SmallRuntime:
    path = directory / "dbre.yaml"
    path.write_text(text)
    return SmallRuntime(path, *engines)


def test_list_shows_the_clusters_that_a_selector_means(tmp_path: Path) -> None:
    runtime = small(tmp_path, THREE)
    view = list_clusters(context(runtime))
    assert [row["name"] for row in view.items] == ["orders", "cache", "same"]
    assert view.items[0] == {
        "name": "orders",
        "environment": "prod",
        "engine": "postgresql",
        "instance_count": 2,
        "databases": ["a", "b"],
        "labels": {"tier": "0"},
    }
    chosen = list_clusters(context(runtime), selector="environment=prod,engine in (redis,mysql)")
    assert [row["name"] for row in chosen.items] == ["cache"]
    none = list_clusters(context(runtime), selector="tier=9")
    assert (none.items, none.empty, none.exit_code) == ([], "no cluster fits the selector", ExitCode.OK)
    assert "add them under fleet: clusters:" in list_clusters(context(SmallRuntime(None))).empty


def test_show_finds_a_cluster_by_its_name_or_an_instance(tmp_path: Path) -> None:
    runtime = small(tmp_path, THREE)
    (row,) = show(context(runtime), "o2").items
    assert (row["name"], row["user"], row["has_password"], row["tls"]) == ("orders", "dbre", True, "prefer")
    assert row["instances"] == [{"name": "o1", "address": "db1:5432"}, {"name": "o2", "address": "db2:5433"}]
    assert row["endpoints"] == {purpose: ["db1:5432", "db2:5433"] for purpose in ("write", "read", "replica")}
    assert show(context(runtime), "orders").items[0]["name"] == "orders"  # a cluster before an instance of that name
    with pytest.raises(UnknownCluster) as caught:
        show(context(runtime), "ordres")
    assert caught.value.hint == "did you mean orders?"


def text_of(pair: PostgresPair, *, user: str, password: str) -> str:
    first, second = pair.primary.address, pair.replica.address
    return f"""\
fleet:
  clusters:
    - name: orders
      engine: postgresql
      user: {user}
      password: {password}
      tls: disable
      databases: [postgres]
      instances:
        - {{name: pg1, host: {first.host}, port: {first.port}}}
        - {{name: pg2, host: {second.host}, port: {second.port}}}
"""


def superuser_text(pair: PostgresPair, directory: Path) -> str:
    secret = directory / "password"
    secret.touch(0o600)
    secret.write_text(pair.primary.password.reveal())
    return text_of(pair, user=pair.primary.superuser, password="file:password")


async def run(server: PostgresServer, query: sql.Composable) -> int:
    """Rows that a statement touched, as the superuser."""
    async with await psycopg.AsyncConnection.connect(
        host=server.address.host,
        port=server.address.port,
        user=server.superuser,
        password=server.password.reveal(),
        dbname="postgres",
        autocommit=True,
    ) as connection:
        return (await connection.execute(query)).rowcount


async def make_role(server: PostgresServer, name: str, *, follower: PostgresServer | None = None) -> None:
    await run(server, sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'letmein'").format(sql.Identifier(name)))
    look = sql.SQL("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}").format(sql.Literal(name))
    for _ in range(300):
        if follower is None or await run(follower, look):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"role {name} did not reach the replica")


async def test_topology_and_doctor_of_a_pair_that_works(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    runtime = small(tmp_path, superuser_text(postgres_pair, tmp_path), PostgresEngine())
    view = await topology(context(runtime))
    assert [(row["name"], row["role"]) for row in view.items] == [("pg1", "primary"), ("pg2", "replica")]
    assert view.items[0]["replica_count"] == 1
    assert view.items[1]["is_receiving"] is True
    assert len({row["system_id"] for row in view.items}) == 1
    assert (view.errors, view.exit_code) == ([], ExitCode.OK)
    found = await doctor(context(runtime), fail_on=Severity.INFO)
    assert [(row["rule"], row["subject"]) for row in found.items] == [("fleet.heartbeat_missing", "pg1")]


async def test_doctor_reports_what_is_missing_frozen_and_refused(
    postgres_pair: PostgresPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_role(postgres_pair.primary, "watcher", follower=postgres_pair.replica)
    monkeypatch.setenv("WATCHER_PASSWORD", "letmein")
    runtime = small(tmp_path, text_of(postgres_pair, user="watcher", password="env:WATCHER_PASSWORD"), PostgresEngine())
    view = await doctor(context(runtime))
    missing = [row for row in view.items if row["rule"] == "fleet.privilege_missing" and row["subject"] == "pg1"]
    assert "pg_monitor" in {row["evidence"]["privilege"] for row in missing}
    assert all("--grants" in row["fix"] and "watcher" in row["fix"] for row in missing)
    assert view.exit_code is ExitCode.OK  # warnings only
    assert (await doctor(context(runtime), fail_on=Severity.WARNING)).exit_code is ExitCode.FINDINGS

    monkeypatch.setenv("WATCHER_PASSWORD", "wrong-hunter2")
    view = await doctor(context(runtime))
    assert [(row["rule"], row["subject"]) for row in view.items] == [
        ("fleet.login_refused", "pg1"),
        ("fleet.login_refused", "pg2"),
    ]
    assert view.exit_code is ExitCode.FINDINGS
    assert "hunter2" not in str(view)

    refused = await topology(context(runtime))
    assert (len(refused.errors), refused.exit_code) == (2, ExitCode.DENIED)

    monkeypatch.delenv("WATCHER_PASSWORD")
    (row,) = (await doctor(context(runtime))).items
    assert (row["rule"], row["subject"]) == ("fleet.secret_unavailable", "orders")
    assert row["summary"] == "environment variable WATCHER_PASSWORD is not set"


async def test_a_frozen_and_a_dead_instance_are_reported_and_the_others_still_shown(
    postgres_pair: PostgresPair, tmp_path: Path
) -> None:
    runtime = small(tmp_path, superuser_text(postgres_pair, tmp_path), PostgresEngine())
    await postgres_pair.primary.freeze()
    try:
        view = await topology(context(runtime))
        found = await doctor(context(runtime))
    finally:
        await postgres_pair.primary.thaw()
    assert [(row["name"], row["role"]) for row in view.items] == [("pg1", None), ("pg2", "replica")]
    assert (len(view.errors), view.exit_code) == (1, ExitCode.OK)
    unreachable = [row["subject"] for row in found.items if row["rule"] == "fleet.unreachable"]
    assert (unreachable, found.exit_code) == (["pg1"], ExitCode.FINDINGS)
    assert "fleet.no_primary" not in {row["rule"] for row in found.items}  # pg1 may be it

    await postgres_pair.primary.stop()
    await postgres_pair.replica.stop()
    gone = await topology(context(runtime))
    assert (len(gone.errors), gone.exit_code) == (2, ExitCode.UNREACHABLE)


async def test_doctor_sees_through_a_wrong_inventory(
    postgres_pair: PostgresPair, postgres15: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_role(postgres_pair.primary, "stranger", follower=postgres_pair.replica)
    await make_role(postgres15, "stranger")
    monkeypatch.setenv("STRANGER_PASSWORD", "letmein")
    right, wrong = f"port: {postgres_pair.replica.address.port}", f"port: {postgres15.address.port}"
    text = text_of(postgres_pair, user="stranger", password="env:STRANGER_PASSWORD").replace(right, wrong)
    runtime = small(tmp_path, f"{text}      endpoints: {{write: ['127.0.0.1:9']}}\n", PostgresEngine())
    found = {row["rule"]: row for row in (await doctor(context(runtime))).items}
    assert found["fleet.several_primaries"]["summary"] == "2 instances take writes: pg1, pg2"
    assert found["fleet.foreign_instance"]["summary"] == "its instances belong to 2 different clusters"
    assert "fleet.versions_differ" in found
    assert found["fleet.unreachable"]["subject"] == "orders/write 127.0.0.1:9"

    only_replica = text_of(postgres_pair, user="stranger", password="env:STRANGER_PASSWORD").splitlines()
    runtime = small(tmp_path, "\n".join(line for line in only_replica if "pg1" not in line), PostgresEngine())
    assert (await doctor(context(runtime))).items[0]["rule"] == "fleet.no_primary"


async def test_a_server_that_cannot_even_be_tried_is_a_finding_beside_the_others(
    postgres15: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text(postgres15.password.reveal())
    address = postgres15.address
    text = f"""\
fleet:
  clusters:
    - {{name: odd, engine: postgresql, tls: verify-full, tls_ca_file: nowhere.pem,
        instances: [{{name: odd1, host: {address.host}, port: 1}}]}}
    - {{name: plain, engine: postgresql, user: {postgres15.superuser}, password: "file:password", tls: disable,
        instances: [{{name: plain1, host: {address.host}, port: {address.port}}}]}}
"""
    runtime = small(tmp_path, text, PostgresEngine())
    assert [row["subject"] for row in (await doctor(context(runtime))).items if row["severity"] == "error"] == ["odd1"]
    view = await topology(context(runtime))
    assert ([row["role"] for row in view.items], len(view.errors)) == ([None, "primary"], 1)


async def test_an_engine_that_is_not_installed_is_one_finding(tmp_path: Path) -> None:
    view = await doctor(context(small(tmp_path, THREE)), selector="engine=redis")
    ((row),) = view.items
    assert (row["rule"], row["subject"], row["fix"]) == ("fleet.engine_unavailable", "cache", "use another")
    with pytest.raises(UsageError, match="no cluster fits the selector"):
        await doctor(context(small(tmp_path, THREE)), selector="tier=7")
    empty = await doctor(context(small(tmp_path, "fleet: {}")))
    assert (empty.items, empty.empty, empty.exit_code) == ([], "no instances to look at", ExitCode.OK)
