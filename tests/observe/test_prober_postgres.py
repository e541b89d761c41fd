"""The prober against real servers that are frozen, killed, lagging, or changed under it."""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from observe_kit import READ, REPLICA, WRITE, Record, cluster, cluster_on, listener, probing
from psycopg import sql

from dbre.core.secrets import Secret
from dbre.engines.postgres.grants import grant_script
from dbre.lab.postgres import PostgresServer
from dbre.ports.probe import Outcome
from dbre.ports.session import Role

GOOD, BAD, EXCLUDED, MISSED = Outcome.GOOD, Outcome.BAD, Outcome.EXCLUDED, Outcome.MISSED


async def run(server: PostgresServer, *statements: str, database: str = "postgres") -> list[tuple]:
    async with await server.connect(database=database) as connection:
        for statement in statements:
            cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def probe_role(server: PostgresServer, name: str) -> AsyncIterator[tuple[str, Secret]]:
    """A database of its own with a role that has just the grants that dbre asks for."""
    secret = Secret("first password")
    await run(server, f"CREATE ROLE {name} LOGIN PASSWORD '{secret.reveal()}'", f"CREATE DATABASE {name}")
    await run(server, grant_script(name), database=name)
    try:
        yield name, secret
    finally:
        await run(server, f"DROP DATABASE {name} WITH (FORCE)", f"REVOKE pg_monitor FROM {name}", f"DROP ROLE {name}")


def steady(record: Record, name: str, purpose=WRITE) -> bool:
    gaps = [
        (b.scheduled_at - a.scheduled_at).total_seconds()
        for a, b in zip(record.of(name, purpose), record.of(name, purpose)[1:], strict=False)
    ]
    return all(abs(gap - 1.0) < 0.05 for gap in gaps)


async def test_a_frozen_primary_costs_its_endpoints_just_the_frozen_slots_and_nobody_else_any(postgres_pair, postgres18):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    orders = cluster_on("orders", [primary, replica], [WRITE, READ, REPLICA])
    async with probing(orders, cluster_on("other", [postgres18])) as record:
        await record.until(lambda: all(len(record.of("orders", one)) >= 2 for one in (WRITE, READ, REPLICA)))
        begin = time.time()
        await primary.freeze()
        frozen_from = time.time()
        await asyncio.sleep(5.2)
        frozen_to = time.time()
        await primary.thaw()
        end = time.time()
        await record.until(lambda: record.outcomes("orders")[-1] is GOOD and record.outcomes("orders", READ)[-1] is GOOD)
    for purpose in (WRITE, READ):
        for slot in record.of("orders", purpose):
            at = slot.scheduled_at.timestamp()
            if frozen_from < at < frozen_to - 0.8:  # a slot that is thawed within its limit of 0.7 s may still be good
                assert (slot.outcome, slot.code) == (BAD, "timeout"), slot
            elif not begin - 0.1 < at < end:
                assert slot.outcome is GOOD, slot
        assert abs(record.outcomes("orders", purpose).count(BAD) - (frozen_to - frozen_from - 0.7)) <= 1
        assert record.kinds(f"orders/{purpose}") == ["observe.endpoint_bad", "observe.endpoint_good"]
    assert set(record.outcomes("orders", REPLICA)) == {GOOD}
    assert set(record.outcomes("other")) == {GOOD}
    assert all(steady(record, "orders", one) for one in (WRITE, READ, REPLICA))
    assert steady(record, "other")
    staleness = [one.staleness_seconds for one in record.of("orders", REPLICA) if one.staleness_seconds is not None]
    assert min(staleness) < 1, "a tenth of the interval, when all is well"
    assert max(staleness) > 3.5, "no heartbeat came while the primary was frozen"


async def test_a_killed_server_is_bad_while_it_is_down_and_good_again_after_its_restart(fresh_postgres):
    async with probing(cluster_on("orders", [fresh_postgres], [WRITE, READ])) as record:
        await record.until(lambda: GOOD in record.outcomes("orders"))
        await fresh_postgres.kill()
        await record.until(lambda: record.outcomes("orders").count(BAD) >= 2)
        await fresh_postgres.start()
        before = len(record.of("orders"))
        await record.until(lambda: record.outcomes("orders")[before:].count(GOOD) >= 2)
    codes = {one.code for one in record.of("orders") if one.outcome is BAD}
    assert "connection_refused" in codes
    assert record.kinds("orders/write") == ["observe.endpoint_bad", "observe.endpoint_good"]
    assert MISSED not in record.outcomes("orders")


async def test_the_next_address_answers_when_the_first_hangs_and_is_kept(postgres18):
    async with listener() as silent:
        target = cluster_on("orders", [postgres18])
        addresses = [silent, postgres18.address]
        both = cluster("orders", addresses, user=target.user, password=target.password)
        async with probing(both, interval=2.0, total=1.8) as record:
            await record.until(lambda: len(record.of("orders")) >= 3)
    slots = record.of("orders")
    assert [one.outcome for one in slots] == [GOOD] * len(slots)
    assert slots[0].latency_seconds > 0.29, "the first slot waited for the address that hangs"
    assert slots[2].latency_seconds < 0.29
    assert {one.instance for one in slots} == {"orders-2"}


async def test_after_a_promotion_the_endpoint_follows_the_primary_and_says_so(postgres_pair):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with probing(cluster_on("orders", [primary, replica])) as record:
        await record.until(lambda: GOOD in record.outcomes("orders"))
        await primary.kill()
        await run(replica, "SELECT pg_promote(true, 30)")
        await record.until(lambda: record.of("orders")[-1].instance == "orders-2" and record.outcomes("orders")[-1] is GOOD)
    moved = [data for kind, _, data in record.events if kind == "observe.role_changed"]
    assert moved, record.events
    assert (moved[-1]["instance"], moved[-1]["role"]) == ("orders-2", "primary")


async def test_a_replica_behind_a_write_endpoint_is_bad_for_its_role(postgres_pair):
    async with probing(cluster_on("orders", [postgres_pair.replica])) as record:
        await record.until(lambda: len(record.of("orders")) >= 2)
    slot = record.of("orders")[0]
    assert (slot.outcome, slot.code, slot.role, slot.instance) == (BAD, "wrong_role", Role.REPLICA, "orders-1")


async def test_paused_replay_shows_as_staleness_and_ends_with_it(postgres_pair):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with probing(cluster_on("orders", [primary, replica], [WRITE, REPLICA])) as record:

        def newest() -> float:
            seen = [one.staleness_seconds for one in record.of("orders", REPLICA) if one.staleness_seconds is not None]
            return seen[-1] if seen else -1.0

        await record.until(lambda: 0 <= newest() < 0.5)
        await run(replica, "SELECT pg_wal_replay_pause()")
        await record.until(lambda: newest() > 3)
        await run(replica, "SELECT pg_wal_replay_resume()")
        await record.until(lambda: newest() < 0.5)
    assert set(record.outcomes("orders", REPLICA)) == {GOOD}, "stale is for the freshness objective, not for availability"


async def test_a_restarted_prober_does_not_know_the_age_of_its_predecessors_heartbeat(postgres_pair):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with probing(cluster_on("orders", [primary, replica], [WRITE])) as record:
        await record.until(lambda: GOOD in record.outcomes("orders"))
    async with probing(cluster_on("orders", [replica], [REPLICA])) as record:
        await record.until(lambda: len(record.of("orders", REPLICA)) >= 1)
    assert record.of("orders", REPLICA)[0].outcome is GOOD
    assert record.of("orders", REPLICA)[0].staleness_seconds is None


async def test_a_replica_that_stood_still_before_the_prober_started_is_known_to_be_older_and_older(postgres_pair):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with probing(cluster_on("orders", [primary, replica], [WRITE, REPLICA])) as record:
        await record.until(lambda: any(one.staleness_seconds is not None for one in record.of("orders", REPLICA)))
    await run(replica, "SELECT pg_wal_replay_pause()")
    try:
        async with probing(cluster_on("orders", [primary, replica], [WRITE, REPLICA])) as record:
            await record.until(lambda: (record.of("orders", REPLICA) or [None])[-1] is not None)
            await record.until(lambda: (record.of("orders", REPLICA)[-1].least_staleness_seconds or 0) > 2)
    finally:
        await run(replica, "SELECT pg_wal_replay_resume()")
    assert {one.staleness_seconds for one in record.of("orders", REPLICA)} == {None}


async def test_a_revoked_privilege_is_one_event_and_excluded_slots_and_heals(postgres18):
    async with probe_role(postgres18, "probe_revoked") as (name, secret):
        target = cluster("orders", [postgres18.address], user=name, password=secret, database=name)
        async with probing(target) as record:
            await record.until(lambda: GOOD in record.outcomes("orders"))
            await run(postgres18, f"REVOKE ALL ON dbre.heartbeat FROM {name}", database=name)
            await record.until(lambda: record.outcomes("orders").count(EXCLUDED) >= 3)
            bad = [data for kind, _, data in record.events if kind == "observe.endpoint_bad"]
            await run(postgres18, grant_script(name), database=name)
            await record.until(lambda: record.outcomes("orders")[-1] is GOOD)
    assert len(bad) == 1
    assert (bad[0]["outcome"], bad[0]["code"]) == ("excluded", "42501")
    assert BAD not in record.outcomes("orders")


async def test_without_the_right_to_create_the_table_the_slots_are_excluded_and_the_hint_names_the_grants(postgres18):
    name, secret = "probe_poor", Secret("x")
    await run(postgres18, f"CREATE ROLE {name} LOGIN PASSWORD 'x'", f"CREATE DATABASE {name}")
    try:
        target = cluster("orders", [postgres18.address], user=name, password=secret, database=name, purposes=[WRITE, READ])
        async with probing(target) as record:
            await record.until(lambda: record.outcomes("orders").count(EXCLUDED) >= 2 and record.outcomes("orders", READ))
        assert set(record.outcomes("orders")) == {EXCLUDED}
        assert set(record.outcomes("orders", READ)) == {GOOD}, "reading needs no heartbeat"
        ((_, _, data),) = [event for event in record.events if event[0] == "observe.endpoint_bad"]
        assert f'TO "{name}"' in str(data["hint"])
    finally:
        await run(postgres18, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


async def test_a_dropped_heartbeat_table_is_made_again(fresh_postgres):
    async with probing(cluster_on("orders", [fresh_postgres])) as record:
        await record.until(lambda: GOOD in record.outcomes("orders"))
        await run(fresh_postgres, "DROP SCHEMA dbre CASCADE")
        await record.until(lambda: EXCLUDED in record.outcomes("orders"))
        await record.until(lambda: record.outcomes("orders")[-1] is GOOD)


async def test_a_rotated_password_is_noticed_by_new_connections_without_flapping(postgres18):
    async with probe_role(postgres18, "probe_rotated") as (name, secret):
        target = cluster("orders", [postgres18.address], user=name, password=secret, database=name)
        async with probing(target, fresh_every=3) as record:
            await record.until(lambda: GOOD in record.outcomes("orders"))
            await run(postgres18, sql.SQL("ALTER ROLE {} PASSWORD 'second'").format(sql.Identifier(name)).as_string())
            await record.until(lambda: sum(one.code == "28P01" for one in record.of("orders")) >= 3)
            assert record.kinds("orders/write") == ["observe.endpoint_bad"]
            assert GOOD in record.outcomes("orders")[-6:], "the kept connection goes on"
            await run(postgres18, sql.SQL("ALTER ROLE {} PASSWORD 'first password'").format(sql.Identifier(name)).as_string())
            await record.until(lambda: record.kinds("orders/write") == ["observe.endpoint_bad", "observe.endpoint_good"])


async def test_each_endpoint_holds_one_connection_and_none_after_the_end(fresh_postgres):
    count = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name LIKE 'dbre:probe%'"
    seen = []
    clusters = [cluster_on(f"orders-{n}", [fresh_postgres], [WRITE, READ]) for n in range(3)]
    async with probing(*clusters, fresh_every=2) as record:
        await record.until(lambda: all(len(record.of(one.name)) >= 3 for one in clusters))
        await fresh_postgres.freeze()
        await asyncio.sleep(2)
        await fresh_postgres.thaw()
        healthy = len(record.of("orders-0")) + 2
        await record.until(lambda: len(record.of("orders-0")) >= healthy)
        for _ in range(20):
            ((connections,),) = await run(fresh_postgres, count)
            seen.append(connections)
            await asyncio.sleep(0.1)
    assert 6 <= max(seen) <= 12, seen  # six kept ones, and six fresh ones for a moment
    assert sorted(seen)[len(seen) // 2] <= 8, seen
    for _ in range(50):
        ((connections,),) = await run(fresh_postgres, count)
        if not connections:
            break
        await asyncio.sleep(0.1)
    assert connections == 0


async def test_a_stopped_prober_calls_its_lost_slots_missed_and_never_bad(postgres18, tmp_path):
    directory = Path(__file__).parent
    address, password = postgres18.address, postgres18.password.reveal()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(directory / "probing_process.py"),
        address.host,
        str(address.port),
        postgres18.superuser,
        password,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(directory)},
    )
    lines: list[dict] = []

    async def read_until(number: int) -> None:
        async with asyncio.timeout(40):
            while len(lines) < number:
                line = await process.stdout.readline()
                assert line, "the process ended"
                if line.startswith(b"{"):  # the rest is its log
                    lines.append(json.loads(line))

    try:
        await read_until(2)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(4.5)
        process.send_signal(signal.SIGCONT)
        await read_until(9)
    finally:
        process.kill()
        await process.wait()
    slots = sorted(lines, key=lambda one: one["at"])
    gaps = [b["at"] - a["at"] for a, b in itertools.pairwise(slots)]
    assert gaps == pytest.approx([1.0] * len(gaps), abs=0.05), "one observation for each slot, lost ones included"
    outcomes = [one["outcome"] for one in slots]
    assert 3 <= outcomes.count("missed") <= 5, outcomes
    assert "bad" not in outcomes
    assert outcomes[-1] == "good"


async def test_the_heartbeat_table_is_made_on_the_primary_also_where_a_replica_is_listed_first(postgres_pair):
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with probing(cluster_on("orders", [replica, primary])) as record:
        await record.until(lambda: GOOD in record.outcomes("orders"))
    assert {one.instance for one in record.of("orders") if one.outcome is GOOD} == {"orders-2"}
