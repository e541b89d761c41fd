"""``fleet.check`` on real servers: a calm cluster, and one with everything wrong that can be made wrong."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from dbre.capabilities.review.checks import CHECKS, examine
from dbre.capabilities.review.operations import operations
from dbre.capabilities.review.operations.check_fleet import CheckFleet
from dbre.core.clock import Clock, SystemClock
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.operation.context import FencingToken, PlanContext
from dbre.core.operation.plan import LockMode, Plan, PlannedOperation, Risk, Step, canonical
from dbre.core.secrets import Secret
from dbre.engines.mysql import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.grants import grant_script
from dbre.engines.redis import RedisEngine
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.ports.engine import Engine
from dbre.testing.fixtures import PostgresPair


class Engines:
    """The engines of a test."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {one.name: one for one in (PostgresEngine(), MySqlEngine(), RedisEngine())}

    def names(self) -> list[str]:
        return sorted(self._engines)

    def get(self, name: str) -> Engine:
        return self._engines[name]


class SkewedClock(SystemClock):
    """A machine whose clock is wrong."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@dataclass(kw_only=True)
class WalkedStep:
    """Implements ``StepContext`` for one step, without a journal."""

    plan: Plan
    step: Step
    clock: Clock
    results: Mapping[str, Mapping[str, Any]]
    result: Mapping[str, Any] = field(default_factory=dict)
    token: FencingToken = field(default_factory=lambda: FencingToken(uuid4(), 1))
    requested_by: str = "somebody"
    application_name: str = "dbre:fleet.check:test"
    notes: list[str] = field(default_factory=list)

    @property
    def input(self) -> Mapping[str, Any]:
        return self.step.input

    def tuning(self, name: str) -> Any:
        raise NotImplementedError

    async def checkpoint(self) -> None: ...

    async def progress(self, done: float, total: float | None, unit: str) -> None: ...

    async def note(self, text: str) -> None:
        self.notes.append(text)

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> Any:
        raise NotImplementedError


def fleet_of(engine: str, servers: Mapping[str, LabServer], *, user: str, password: str) -> Fleet:
    cluster = Cluster(
        name="orders",
        environment="test",
        engine=engine,
        instances=tuple(Instance(name=name, cluster="orders", address=one.address) for name, one in servers.items()),
        endpoints=(),
        databases=(),
        user=user,
        password=Secret(password),
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


def operation_on(
    engine: str, servers: Mapping[str, LabServer], *, user: str, password: str, clock: Clock | None = None
) -> CheckFleet:
    fleet = fleet_of(engine, servers, user=user, password=password)
    (found,) = operations(fleet=fleet, engines=Engines(), clock=clock or SystemClock())
    assert isinstance(found, CheckFleet)
    return found


async def outcome(operation: CheckFleet, *checks: str) -> Mapping[str, Any]:
    """Plan and walk the whole operation; what its last step gave."""
    clock = SystemClock()
    asked = operation.document.model_validate({"cluster": "orders", "checks": list(checks)})
    plan = await operation.plan(PlanContext(clock=clock, requested_by="somebody"), asked)  # type: ignore[arg-type]
    planned = PlannedOperation(kind=operation.kind, definition_version=1, input=asked.model_dump(mode="json"), plan=plan)
    assert PlannedOperation.from_document(planned.document()).hash == planned.hash
    assert (plan.risk, plan.lock, operation.missing(plan)) == (Risk.READ, LockMode.SHARED, ())
    results: dict[str, Mapping[str, Any]] = {}
    for one in plan.steps:
        context = WalkedStep(plan=plan, step=one, clock=clock, results=results)
        results[one.name] = await operation.handlers()[one.handler].work(operation, context) or {}
        canonical(results[one.name])
    return results["report"]


def rules(report: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in report["findings"]:
        found.setdefault(row["rule"], []).append(row["subject"])
    return found


async def make_watcher(server: PostgresServer, follower: PostgresServer | None = None) -> None:
    async with await server.connect() as admin:
        await admin.execute("CREATE ROLE watcher LOGIN PASSWORD 's3cret'")
        await admin.execute(grant_script("watcher").encode())
    for _ in range(200):
        if follower is None:
            return
        async with await follower.connect() as other:
            found = await other.execute(
                "SELECT FROM pg_catalog.pg_class AS c, pg_catalog.pg_roles AS r "
                "WHERE c.relname = 'heartbeat' AND r.rolname = 'watcher' AND c.relacl IS NOT NULL"
            )
            if found.rowcount:
                return
        await asyncio.sleep(0.05)


async def tell(server: PostgresServer, *statements: str) -> None:
    async with await server.connect() as admin:
        for one in statements:
            await admin.execute(one.encode())
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
        await admin.execute("SELECT pg_catalog.pg_sleep(0.2)")


async def test_a_pair_that_is_well_has_no_finding(postgres_pair: PostgresPair) -> None:
    pair = postgres_pair
    await make_watcher(pair.primary, pair.replica)
    safe = ("ALTER SYSTEM SET fsync = on", "ALTER SYSTEM SET full_page_writes = on")
    await tell(pair.primary, *safe)
    await tell(pair.replica, *safe)
    operation = operation_on("postgresql", {"pg1": pair.primary, "pg2": pair.replica}, user="watcher", password="s3cret")
    report = await outcome(operation)
    assert report == {
        "findings": [], "counts": {"info": 0, "warning": 0, "error": 0, "critical": 0}, "worst": None,
    }  # fmt: skip


async def test_every_rule_speaks_where_something_is_wrong(postgres_pair: PostgresPair) -> None:
    pair = postgres_pair
    await tell(
        pair.primary,
        "ALTER SYSTEM SET synchronous_commit = off",
        "ALTER SYSTEM SET max_connections = 40",
        "ALTER SYSTEM SET work_mem = '9MB'",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    )
    await tell(pair.replica, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    operation = operation_on(
        "postgresql",
        {"pg1": pair.primary, "pg2": pair.replica},
        user=pair.primary.superuser,
        password=pair.primary.password.reveal(),
    )
    report = await outcome(operation)
    found = rules(report)
    assert found["fleet.primary_read_only"] == ["pg1"]
    assert found["replication.not_streaming"] == ["pg2"]
    assert found["settings.destructive"].count("pg1") == 2  # fsync and full_page_writes, as the lab runs them
    assert found["settings.dangerous"] == ["pg1"]
    assert found["settings.pending_restart"] == ["pg1"]
    assert found["login.superuser"] == ["pg1", "pg2"]
    assert found["fleet.heartbeat_missing"] == ["pg1"]
    drift = [row["summary"] for row in report["findings"] if row["rule"] == "settings.drift"]
    assert "work_mem differs: pg1 9216, pg2 4096" in drift
    assert not [row for row in drift if "cluster_name" in row or "primary_conninfo" in row]
    assert (report["worst"], report["findings"][0]["severity"]) == ("error", "error")
    assert "password" not in str(report).lower().replace("password_encryption", "")


async def test_sessions_transactions_locks_and_clocks(fresh_postgres: PostgresServer) -> None:
    server = fresh_postgres
    await tell(server, "ALTER SYSTEM SET max_connections = 12", "ALTER SYSTEM SET superuser_reserved_connections = 0")
    await server.stop()
    await server.start()
    clock = SkewedClock(timedelta(seconds=30))
    operation = operation_on(
        "postgresql", {"pg1": server}, user=server.superuser, password=server.password.reveal(), clock=clock
    )
    sessions = [await server.connect() for _ in range(10)]
    waiting: list[asyncio.Task[Any]] = []
    try:
        await sessions[0].execute("SELECT pg_catalog.pg_advisory_lock(7)")
        waiting = [asyncio.create_task(one.execute("SELECT pg_catalog.pg_advisory_lock_shared(7)")) for one in sessions[1:3]]
        await asyncio.sleep(0.3)
        found = rules(await outcome(operation, "activity"))
    finally:
        await sessions[0].execute("SELECT pg_catalog.pg_advisory_unlock(7)")
        await asyncio.gather(*waiting)
        for one in sessions:
            await one.close()
    assert found == {"activity.saturated": ["pg1"], "activity.blocked": ["pg1"], "clock.skew": ["pg1"]}


async def test_a_dead_instance_is_one_finding_and_the_rest_is_still_looked_at(postgres_pair: PostgresPair) -> None:
    pair = postgres_pair
    operation = operation_on(
        "postgresql",
        {"pg1": pair.primary, "pg2": pair.replica},
        user=pair.primary.superuser,
        password=pair.primary.password.reveal(),
    )
    await pair.primary.kill()
    found = rules(await outcome(operation))
    assert found["fleet.unreachable"] == ["pg1"]
    assert found["replication.not_streaming"] == ["pg2"]
    assert "fleet.no_primary" not in found  # pg1 may be it
    assert not [rule for rule in found if rule.endswith(".not_checked")]


async def test_an_old_version_is_told_before_and_after_its_end(postgres15: PostgresServer) -> None:
    async def findings(year: int, month: int) -> list[Mapping[str, Any]]:
        clock = SkewedClock(datetime(year, month, 1, tzinfo=UTC) - datetime.now(UTC))
        password = postgres15.password.reveal()
        operation = operation_on("postgresql", {"pg1": postgres15}, user=postgres15.superuser, password=password, clock=clock)
        return list((await outcome(operation, "lifecycle"))["findings"])

    assert await findings(2027, 4) == []
    (near,) = await findings(2027, 9)
    assert (near["severity"], near["rule"]) == ("warning", "lifecycle.ends")
    assert near["summary"].endswith("is mended until 2027-11-11")
    (late,) = await findings(2027, 12)
    assert late["severity"] == "error"


async def test_mariadb_and_redis_are_looked_at_too(mariadb: MariaDbServer, redis_server: RedisServer) -> None:
    for engine, server in (("mysql", mariadb), ("redis", redis_server)):
        operation = operation_on(engine, {"one": server}, user=server.superuser, password=server.password.reveal())
        report = await outcome(operation)
        assert not [row for row in report["findings"] if row["severity"] in ("error", "critical")], report
        assert not [row for row in report["findings"] if row["rule"].endswith(".not_checked")], report
        if engine == "mysql":
            assert rules(report)["login.superuser"] == ["one"]


async def test_unknown_checks_and_clusters_are_told_before(postgres15: PostgresServer) -> None:
    operation = operation_on("postgresql", {"pg1": postgres15}, user="x", password="x")
    with pytest.raises(UsageError, match="no check is named 'setings'") as caught:
        await outcome(operation, "setings")
    assert caught.value.hint == "did you mean settings?"
    found = rules(await outcome(operation))
    assert found == {"fleet.login_refused": ["pg1"]}  # and nothing else can be said


async def test_the_doctor_runs_the_same_checks(postgres15: PostgresServer) -> None:
    fleet = fleet_of("postgresql", {"pg1": postgres15}, user=postgres15.superuser, password=postgres15.password.reveal())
    every = [one.id for one in CHECKS.all()]
    doctor = await examine(fleet.clusters, Engines(), SystemClock(), purpose="fleet.doctor")
    more = await examine(fleet.clusters, Engines(), SystemClock(), purpose="fleet.doctor", checks=every)
    assert {one.rule for one in doctor} < {one.rule for one in more}
