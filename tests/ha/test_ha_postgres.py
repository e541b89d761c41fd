"""PostgreSQL in a cascade: found from one end, measured, parted by a promotion."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from ha_live import context, fleet_of, rules, until
from psycopg import sql

from dbre.capabilities.ha.cli import lag, status
from dbre.capabilities.ha.detection.observer import Observer
from dbre.core.clock import SystemClock
from dbre.core.errors import ExitCode, Unsupported, UsageError
from dbre.core.fleet import Fleet, UnknownInstance
from dbre.core.secrets import SecretReference
from dbre.core.view import PluginState
from dbre.engines.postgres.binaries import find_postgres
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(params=[15, 18], ids=["postgres15", "postgres18"], loop_scope="session")
async def cascade(request: pytest.FixtureRequest, lab_site: Site) -> AsyncIterator[dict[str, PostgresServer]]:
    """``ha3`` follows ``ha2``, which follows ``ha1``."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=request.param)
    except Unsupported as error:
        leave_out(error)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(PostgresServer("ha1", lab_site, binaries=binaries)))
        second, third = [
            await stack.enter_async_context(running(PostgresServer(name, lab_site, binaries=binaries, replica_of=first)))
            for name in ("ha2", "ha3")
        ]
        async with await second.connect() as admin:
            await admin.execute("SELECT pg_catalog.pg_create_physical_replication_slot(%s)", [third.slot])
        await _follow(third, second)
        async with await first.connect() as admin:
            await until(lambda: _dropped(admin, third.slot), bool)
        yield {"ha1": first, "ha2": second, "ha3": third}


async def _follow(server: PostgresServer, upstream: PostgresServer) -> None:
    async with await server.connect() as admin:
        conninfo = sql.Literal(server._primary_conninfo(upstream))
        await admin.execute(sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(conninfo))
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")


async def _dropped(admin: Any, slot: str) -> bool:
    await admin.execute(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots"
        " WHERE slot_name = %s AND NOT active",
        [slot],
    )
    cursor = await admin.execute("SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", [slot])
    return await cursor.fetchone() is None


async def test_a_cascade_from_discovery_to_a_split(cascade: dict[str, PostgresServer]) -> None:
    here = context(fleet_of("postgresql", cascade, database="postgres"))
    await _found_from_its_end(here)
    await _found_in_another_cluster(here.obj.fleet)
    await _measured(here, cascade)
    await _believed_for_so_long(here, cascade)
    await _split(here, cascade)


async def _found_from_its_end(here: Any) -> None:
    async def look() -> Any:
        return await status(here, "shop", seed="ha3")

    whole = await until(look, lambda view: [one["is_confirmed"] for one in view.items[0]["edges"]] == [True, True])
    document = whole.items[0]
    assert document["primary"] == "ha1"
    assert [(one["downstream"], one["upstream"]) for one in document["edges"]] == [("ha2", "ha1"), ("ha3", "ha2")]
    assert (whole.plugin.state, whole.plugin.text) == (PluginState.OK, "shop: primary ha1, healthy")
    assert (document["findings"], document["verdicts"], whole.exit_code) == ([], [], ExitCode.OK)
    assert [one["timeline"] for one in document["nodes"]] == [1, 1, 1]
    assert len({one["system_id"] for one in document["nodes"]}) == 1
    assert "└─ ha3" in whole.text
    with pytest.raises(UnknownInstance, match="ha9"):
        await status(here, "shop", seed="ha9")
    with pytest.raises(UsageError):
        await status(here, "shop", slot_limit="much")


async def _found_in_another_cluster(fleet: Fleet) -> None:
    """Followers that the inventory holds elsewhere are found; those that it does not hold are only told."""
    (whole,) = fleet.clusters
    first, *rest = whole.instances
    shop = replace(whole, instances=(first,))
    elsewhere = replace(whole, name="dr", instances=tuple(replace(one, cluster="dr") for one in rest))
    both = (await status(context(Fleet(clusters=(shop, elsewhere))), "shop")).items[0]
    assert [(one["name"], one["cluster"]) for one in both["nodes"]] == [("ha1", "shop"), ("ha2", "dr"), ("ha3", "dr")]
    assert (both["outsiders"], both["findings"]) == ([], [])

    alone = (await status(context(Fleet(clusters=(shop,))), "shop")).items[0]
    assert [one["name"] for one in alone["nodes"]] == ["ha1"]
    assert [(one["name"], one["is_upstream"]) for one in alone["outsiders"]] == [("ha2", False)]

    locked = replace(elsewhere, password=SecretReference.parse("env:DBRE_NO_SUCH_SECRET").secret())
    dark = (await status(context(Fleet(clusters=(shop, locked))), "shop")).items[0]
    assert {one["name"]: one["contact"] for one in dark["nodes"]} == {"ha1": "answered", "ha2": "unknown"}


async def _measured(here: Any, cascade: dict[str, PostgresServer]) -> None:
    async def look() -> Any:
        return {one["replica"]: one for one in (await lag(here, "shop")).items}

    async with await cascade["ha1"].connect() as writer, await cascade["ha3"].connect() as admin:
        await writer.execute("CREATE SCHEMA dbre")
        await writer.execute("CREATE TABLE dbre.heartbeat (id text PRIMARY KEY, sequence bigint, written_at timestamptz)")
        await writer.execute("INSERT INTO dbre.heartbeat VALUES ('shop', 1, pg_catalog.clock_timestamp() - interval '5 s')")
        idle = await until(look, lambda rows: all(one["is_caught_up"] for one in rows.values()))
        assert {(one["total_bytes"], one["seconds"]) for one in idle.values()} == {(0, 0.0)}
        await admin.execute("SELECT pg_catalog.pg_wal_replay_pause()")
        await writer.execute("CREATE TABLE filling AS SELECT pg_catalog.generate_series(1, 20000) AS i")
        await writer.execute("UPDATE dbre.heartbeat SET sequence = 2, written_at = pg_catalog.clock_timestamp()")
        rows = await until(look, lambda rows: (rows["ha3"]["replay_bytes"] or 0) > 500_000 and rows["ha2"]["is_caught_up"])
        assert rows["ha3"]["upstream"] == "ha2"
        assert rows["ha3"]["total_bytes"] >= rows["ha3"]["replay_bytes"]
        assert 4.5 < rows["ha3"]["seconds"] <= rows["ha3"]["seconds_at_most"]
        assert (await lag(here, "shop", max_bytes="100KiB")).exit_code is ExitCode.FINDINGS
        assert (await lag(here, "shop", max_bytes="1GiB", max_seconds="1h")).exit_code is ExitCode.OK
        paused = await status(here, "shop")
        assert (rules(paused), paused.exit_code) == ({("ha.paused_replay", "ha3")}, ExitCode.FINDINGS)
        assert (paused.plugin.state, paused.plugin.text.count("ha.paused_replay")) == (PluginState.WARNING, 1)
        await admin.execute("SELECT pg_catalog.pg_wal_replay_resume()")
        await until(look, lambda rows: rows["ha3"]["is_caught_up"])


async def _believed_for_so_long(here: Any, cascade: dict[str, PostgresServer]) -> None:
    """How long a replica believes in a silent upstream, in whatever unit its server shows it."""
    (shop,) = here.obj.fleet.clusters
    async with (
        await cascade["ha3"].connect() as admin,
        Observer(here.obj.engines, here.obj.fleet, shop, SystemClock(), name="a", patience_seconds=10.0) as observer,
    ):

        async def patience() -> dict[str, float | None]:
            return {name: one.gives_up_seconds for name, one in (await observer.look()).nodes.items()}

        for given, seconds in (("90s", 90.0), ("1500ms", 1.5), ("2h", 7200.0), ("0", 0.0)):
            await admin.execute(sql.SQL("ALTER SYSTEM SET wal_receiver_timeout = {}").format(sql.Literal(given)))
            await admin.execute("SELECT pg_catalog.pg_reload_conf()")
            expected = {"ha1": None, "ha2": 10.0, "ha3": seconds}  # a primary follows nobody
            await until(patience, lambda found, wanted=expected: found == wanted)


async def _split(here: Any, cascade: dict[str, PostgresServer]) -> None:
    async with await cascade["ha2"].connect() as admin:
        await admin.execute("SELECT pg_catalog.pg_promote()")
    async with await cascade["ha1"].connect() as admin:  # it keeps the log for who will not come back
        await admin.execute("SELECT pg_catalog.pg_create_physical_replication_slot('nobody', true)")

    async def look() -> Any:
        return await status(here, "shop", slot_limit="0B")

    split = await until(look, lambda view: view.items[0]["primary"] == "ha2" and ("ha.stuck_slot", "ha1") in rules(view))
    assert {("ha.dual_primary", "shop"), ("ha.stuck_slot", "ha1")} <= rules(split)
    assert (split.items[0]["verdicts"][0], split.items[0]["action"]) == ("dual_primary", "fence")
    timelines = {one["name"]: one["timeline"] for one in split.items[0]["nodes"]}
    assert (timelines["ha1"], timelines["ha2"]) == (1, 2)
    await until(look, lambda view: [one["upstream"] for one in view.items[0]["edges"]] == ["ha2"])

    await _follow(cascade["ha3"], cascade["ha1"])  # the old primary's history ended before the point where ha3 is
    wrong = await until(
        look, lambda view: ("ha.wrong_timeline", "ha3") in rules(view) or ("ha.zombie_replica", "ha3") in rules(view)
    )
    assert wrong.exit_code is ExitCode.FINDINGS

    await cascade["ha1"].kill()
    dead = await until(look, lambda view: ("ha.unreachable", "ha1") in rules(view))
    contacts = {one["name"]: one["contact"] for one in dead.items[0]["nodes"]}
    assert contacts == {"ha1": "reset", "ha2": "answered", "ha3": "answered"}
    assert dead.items[0]["primary"] == "ha2"
    assert (len(dead.errors), dead.plugin.state) == (1, PluginState.CRITICAL)
