"""``settings.apply`` on a real pair of PostgreSQL: plan, apply, verify, undo, and what comes between."""

import pytest
from settings_kit import Engines, do, fleet_of, killed, planned, probe, undo, verified, walk

from dbre.capabilities.settings.operations import operations
from dbre.capabilities.settings.operations.apply_settings import ApplySettings, ChangedByOthers
from dbre.core.errors import Denied, PrecheckFailed, Unreachable, UsageError
from dbre.core.operation.definition import NotHappened, OutcomeUnknown
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Change, Risk
from dbre.engines.postgres.grants import change_grants, grant_script
from dbre.lab.postgres import PostgresServer
from dbre.ports.settings import SettingRefused
from dbre.testing.fixtures import PostgresPair

GRANTED = ("work_mem", "maintenance_work_mem", "max_connections", "synchronous_commit", "random_page_cost")


async def make_changer(server: PostgresServer) -> None:
    async with await server.connect() as admin:
        await admin.execute("CREATE ROLE changer LOGIN PASSWORD 's3cret'")
        await admin.execute(grant_script("changer").encode())
        for statement in change_grants("changer", GRANTED):
            await admin.execute(statement.encode())


async def make_so(server: PostgresServer, statement: str) -> None:
    async with await server.connect() as admin:
        await admin.execute(statement.encode())
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
        await admin.execute("SELECT pg_catalog.pg_sleep(0.2)")


async def shown(server: PostgresServer, name: str) -> str:
    async with await server.connect() as admin:
        row = await (await admin.execute("SELECT pg_catalog.current_setting(%s)", [name])).fetchone()
    assert row
    return str(row[0])


@pytest.fixture
async def pair(postgres_pair: PostgresPair) -> PostgresPair:
    """A pair with a login that may change some parameters and nothing else."""
    await make_changer(postgres_pair.primary)
    async with await postgres_pair.primary.connect() as one, await postgres_pair.replica.connect() as other:
        row = await (await one.execute("SELECT pg_catalog.pg_current_wal_lsn()")).fetchone()
        assert row
        for _ in range(200):
            reached = await other.execute("SELECT pg_catalog.pg_last_wal_replay_lsn() >= %s::pg_lsn", [row[0]])
            if await reached.fetchone() == (True,):
                break
            await other.execute("SELECT pg_catalog.pg_sleep(0.05)")
    return postgres_pair


def operation_on(pair: PostgresPair) -> ApplySettings:
    fleet = fleet_of("postgresql", {"pg1": pair.primary, "pg2": pair.replica}, user="changer", password="s3cret")
    (found,) = operations(fleet=fleet, engines=Engines())
    assert isinstance(found, ApplySettings)
    return found


async def test_replicas_first_seen_by_all_and_put_back_exactly(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    await make_so(pair.primary, "ALTER SYSTEM SET work_mem = '5120'")
    plan = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "65536kB", "random_page_cost": 1.5}})).plan
    assert [one.name for one in plan.steps] == ["apply:pg2", "apply:pg1"]
    assert (plan.target, plan.risk, plan.summary) == (
        "cluster/orders",
        Risk.MODERATE,
        "set random_page_cost, work_mem on 2 of 2 instances of orders",
    )
    assert Change(subject="pg1: work_mem", before="5MB", after="64MB") in plan.changes
    assert Change(subject="pg2: work_mem", before="4MB", after="64MB") in plan.changes
    assert plan.steps[1].summary == "on pg1, primary: work_mem from 5MB to 64MB; random_page_cost from 4 to 1.5"
    assert plan.observed["pg1"]["settings"]["work_mem"] == {"value": "5MB", "stored": "5120", "is_pending_restart": False}
    assert (await shown(pair.primary, "work_mem"), await shown(pair.replica, "work_mem")) == ("5MB", "4MB")

    with pytest.raises(NotHappened):
        await probe(operation, plan, "apply:pg2")
    results = await walk(operation, plan)
    assert results["apply:pg1"]["settings"][0] == {
        "name": "work_mem", "before": "5MB", "value": "64MB", "wanted": "64MB", "stored": "64MB", "is_pending_restart": False,
    }  # fmt: skip
    assert await probe(operation, plan, "apply:pg1") == results["apply:pg1"]
    assert await do(operation, plan, "apply:pg1") == results["apply:pg1"]  # twice is once
    assert await verified(operation, plan) == {
        f"{instance}: {name}": (True, f"is {value}, from configuration file")
        for instance in ("pg1", "pg2")
        for name, value in (("work_mem", "64MB"), ("random_page_cost", "1.5"))
    }
    assert {await shown(one, "work_mem") for one in (pair.primary, pair.replica)} == {"64MB"}

    again = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "64MB", "random_page_cost": "1.5"}})).plan
    assert (again.steps, again.risk, again.warnings) == ((), Risk.READ, ())
    assert again.summary.endswith("all 2 instances are in the wanted state already")

    for name in ("apply:pg1", "apply:pg2"):
        await undo(operation, plan, name)
        await undo(operation, plan, name)
    assert (await shown(pair.primary, "work_mem"), await shown(pair.replica, "work_mem")) == ("5MB", "4MB")
    conf = (pair.primary.data_directory / "postgresql.auto.conf").read_text()
    assert "work_mem = '5120'" in conf
    assert "random_page_cost" not in conf


async def test_a_parameter_for_a_restart_is_stored_and_said_to_wait(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    raised = (await planned(operation, {"cluster": "orders", "set": {"max_connections": 120}})).plan
    assert [one.name for one in raised.steps] == ["apply:pg2", "apply:pg1"]
    text = " | ".join(raised.warnings)
    assert "restart the replicas before the primary" in text
    assert "takes effect at the next restart" in text
    results = await walk(operation, raised)
    assert results["apply:pg1"]["settings"][0]["is_pending_restart"] is True
    assert (await verified(operation, raised))["pg1: max_connections"] == (
        True,
        "120 is stored and waits for a restart; 100 until then",
    )
    for server in (pair.replica, pair.primary):
        await server.stop()
        await server.start()
    assert (await verified(operation, raised))["pg1: max_connections"][0] is True

    lowered = (await planned(operation, {"cluster": "orders", "reset": ["max_connections"]})).plan
    assert [one.name for one in lowered.steps] == ["apply:pg1", "apply:pg2"]
    assert "restart the primary before the replicas" in " | ".join(lowered.warnings)


async def test_what_cannot_be_is_refused_before_anything_is_done(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    cases: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"set": {"work_mem": "64mb"}}, UsageError, "takes B, kB, MB, GB, TB"),
        ({"set": {"wrk_mem": "64MB"}}, UsageError, "no parameter 'wrk_mem'"),
        ({"set": {"shared_buffers": "64MB"}}, Denied, "ALTER SYSTEM ON PARAMETER shared_buffers"),
        ({"set": {"fsync": False}}, SettingRefused, "fsync=off"),
        ({"set": {"work_mem": "1MB"}, "instances": ["pg3"]}, UsageError, "no instance 'pg3'"),
        ({"set": {"work_mem": "1MB"}, "revert_on": {"slo": "writes"}}, UsageError, "no SLO can be watched here"),
    ]
    for asked, kind, message in cases:
        with pytest.raises(kind, match=message):
            await planned(operation, {"cluster": "orders", **asked})
    with pytest.raises(ValueError, match="no parameter is given"):
        await planned(operation, {"cluster": "orders"})
    with pytest.raises(ValueError, match="work_mem is given twice"):
        await planned(operation, {"cluster": "orders", "set": {"work_mem": "1MB"}, "reset": ["WORK_MEM"]})
    async with killed(pair.replica):
        with pytest.raises(PrecheckFailed, match="pg2 does not answer, so nothing is changed anywhere"):
            await planned(operation, {"cluster": "orders", "set": {"work_mem": "1MB"}})
        only = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "1MB"}, "instances": ["pg1"]})).plan
        assert [one.name for one in only.steps] == ["apply:pg1"]
    assert await shown(pair.primary, "work_mem") == "4MB"


async def test_a_severe_value_makes_a_severe_plan(pair: PostgresPair) -> None:
    plan = (await planned(operation_on(pair), {"cluster": "orders", "set": {"synchronous_commit": "off"}})).plan
    assert (plan.risk, plan.confirmation) == (Risk.SEVERE, "orders")
    assert "loses the last commits" in plan.warnings[0]


async def test_somebody_else_s_change_is_neither_overwritten_nor_undone(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    asked = {"cluster": "orders", "set": {"work_mem": "64MB"}}
    first = await planned(operation, asked)
    await make_so(pair.primary, "ALTER SYSTEM SET work_mem = '7MB'")
    assert (await planned(operation, asked)).hash != first.hash
    with pytest.raises(PlanChanged, match="pg1: work_mem is 7MB now, and was 4MB when it was planned"):
        await do(operation, first.plan, "apply:pg1")
    assert await shown(pair.primary, "work_mem") == "7MB"

    await do(operation, first.plan, "apply:pg2")
    await make_so(pair.replica, "ALTER SYSTEM SET work_mem = '9MB'")
    with pytest.raises(ChangedByOthers, match="pg2: work_mem is 9MB, which dbre did not set, so it is not put back to 4MB"):
        await undo(operation, first.plan, "apply:pg2")
    assert await shown(pair.replica, "work_mem") == "9MB"
    assert (await verified(operation, first.plan))["pg2: work_mem"] == (False, "is 9MB, and 64MB was wanted")


async def test_a_server_that_dies_in_the_middle_is_told_and_the_rest_can_be_undone(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    plan = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "64MB"}})).plan
    await do(operation, plan, "apply:pg2")
    async with killed(pair.primary):
        with pytest.raises(Unreachable) as caught:
            await do(operation, plan, "apply:pg1")
        assert caught.value.retryable
        with pytest.raises(Unreachable):
            await probe(operation, plan, "apply:pg1")
        with pytest.raises(Unreachable):
            await undo(operation, plan, "apply:pg1")
        assert (await verified(operation, plan))["pg1"][0] is False
        await undo(operation, plan, "apply:pg2")
    assert await shown(pair.replica, "work_mem") == "4MB"
    with pytest.raises(NotHappened):
        await probe(operation, plan, "apply:pg1")


async def test_a_worker_that_died_between_store_and_reload_is_made_good(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    plan = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "64MB"}})).plan
    async with await pair.primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET work_mem = '64MB'")  # as far as it came
    with pytest.raises(OutcomeUnknown):
        await probe(operation, plan, "apply:pg1")
    await undo(operation, plan, "apply:pg1")
    assert "work_mem" not in (pair.primary.data_directory / "postgresql.auto.conf").read_text()
    async with await pair.primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET work_mem = '64MB'")
    await do(operation, plan, "apply:pg1")
    assert await shown(pair.primary, "work_mem") == "64MB"


async def test_sessions_on_the_target_bear_the_name_of_the_operation(pair: PostgresPair) -> None:
    """So that a DBA sees in pg_stat_activity and in the log who it was."""
    operation = operation_on(pair)
    await make_so(pair.primary, "ALTER SYSTEM SET log_connections = 'on'")
    plan = (await planned(operation, {"cluster": "orders", "set": {"work_mem": "64MB"}, "instances": ["pg1"]})).plan
    await do(operation, plan, "apply:pg1")
    assert "application_name=dbre:settings.apply:test" in pair.primary.log_file.read_text()


async def test_a_step_that_fails_has_changed_nothing(pair: PostgresPair) -> None:
    """The first parameter is done when the second one fails for certain: a failed step is never undone by the runner."""
    operation = operation_on(pair)
    asked = {"cluster": "orders", "set": {"work_mem": "64MB", "maintenance_work_mem": "65MB"}, "instances": ["pg1"]}
    plan = (await planned(operation, asked)).plan
    async with await pair.primary.connect() as admin:
        await admin.execute("REVOKE ALTER SYSTEM ON PARAMETER maintenance_work_mem FROM changer")
    with pytest.raises(Denied, match="maintenance_work_mem"):
        await do(operation, plan, "apply:pg1")
    assert "work_mem" not in (pair.primary.data_directory / "postgresql.auto.conf").read_text()
    assert await shown(pair.primary, "work_mem") == "4MB"

    async with await pair.primary.connect() as admin:
        await admin.execute("GRANT ALTER SYSTEM ON PARAMETER maintenance_work_mem TO changer")
    await make_so(pair.primary, "ALTER SYSTEM SET maintenance_work_mem = '7MB'")  # somebody else, meanwhile
    with pytest.raises(PlanChanged, match="maintenance_work_mem is 7MB now"):
        await do(operation, plan, "apply:pg1")
    assert (await shown(pair.primary, "maintenance_work_mem"), await shown(pair.primary, "work_mem")) == ("7MB", "4MB")


async def test_half_of_a_step_is_neither_done_nor_undone(pair: PostgresPair) -> None:
    operation = operation_on(pair)
    asked = {"cluster": "orders", "set": {"work_mem": "64MB", "random_page_cost": 2}, "instances": ["pg1"]}
    plan = (await planned(operation, asked)).plan
    await make_so(pair.primary, "ALTER SYSTEM SET work_mem = '64MB'")
    with pytest.raises(OutcomeUnknown):
        await probe(operation, plan, "apply:pg1")
    await undo(operation, plan, "apply:pg1")
    assert await shown(pair.primary, "work_mem") == "4MB"
