"""``settings.apply`` on a real MariaDB: it is forgotten at the restart, and that is said before."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncmy
import pytest
from settings_kit import Engines, do, fleet_of, planned, probe, undo, verified, walk

from dbre.capabilities.settings.operations.apply_settings import ApplySettings
from dbre.core.errors import Denied, UsageError
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Risk
from dbre.engines.mysql import MySqlEngine
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.settings import SettingRefused


async def execute(server: MariaDbServer, statement: str) -> list[tuple[Any, ...]]:
    """As the superuser."""
    access = server.access()
    connection = await asyncmy.connect(
        host=access.address.host,
        port=access.address.port,
        user=server.superuser,
        password=server.password.reveal(),
        autocommit=True,
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall()) if cursor.description else []
    finally:
        await connection.ensure_closed()


@pytest.fixture
async def operation(mariadb: MariaDbServer) -> AsyncIterator[ApplySettings]:
    """With a login that watches and has SUPER."""
    await execute(mariadb, "CREATE OR REPLACE USER `applier`@`%` IDENTIFIED BY 's3cret'")
    for statement in MySqlEngine().grants("applier").split(";\n")[:-1]:
        await execute(mariadb, statement)
    await execute(mariadb, "GRANT SUPER ON *.* TO `applier`@`%`")
    fleet = fleet_of("mysql", {"db1": mariadb}, user="applier", password="s3cret")
    yield ApplySettings(fleet=fleet, engines=Engines())
    await execute(mariadb, "DROP USER `applier`@`%`")


async def value_of(server: MariaDbServer, name: str) -> str:
    ((_, value),) = await execute(server, f"SHOW GLOBAL VARIABLES LIKE '{name}'")
    return str(value)


async def test_apply_verify_and_take_back(operation: ApplySettings, mariadb: MariaDbServer) -> None:
    before = await value_of(mariadb, "sort_buffer_size")
    plan = (await planned(operation, {"cluster": "orders", "set": {"sort_buffer_size": "4M", "long_query_time": 0.5}})).plan
    assert (plan.risk, [one.name for one in plan.steps]) == (Risk.MODERATE, ["apply:db1"])
    assert "to keep it write below [mysqld] of my.cnf: sort_buffer_size = 4194304" in " | ".join(plan.warnings)
    await walk(operation, plan)
    assert await value_of(mariadb, "sort_buffer_size") == "4194304"
    assert {holds for holds, _ in (await verified(operation, plan)).values()} == {True}
    assert (await probe(operation, plan, "apply:db1"))["instance"] == "db1"
    again = await planned(operation, {"cluster": "orders", "set": {"sort_buffer_size": "4M", "long_query_time": "0.5"}})
    assert again.plan.steps == ()
    await undo(operation, plan, "apply:db1")
    assert await value_of(mariadb, "sort_buffer_size") == before


async def test_it_is_forgotten_at_a_restart_and_verification_says_so(operation: ApplySettings, mariadb: MariaDbServer) -> None:
    plan = (await planned(operation, {"cluster": "orders", "set": {"max_connections": 77}})).plan
    await walk(operation, plan)
    await mariadb.stop()
    await mariadb.start()
    holds, detail = (await verified(operation, plan))["db1: max_connections"]
    assert not holds
    assert detail.endswith("and 77 was wanted")


async def test_what_cannot_be_is_refused_before(operation: ApplySettings, mariadb: MariaDbServer) -> None:
    for asked, kind, message in (
        ({"set": {"innodb_log_group_home_dir": "/tmp"}}, SettingRefused, "is read when the server starts"),
        ({"set": {"max_connections": "1"}}, UsageError, "at least 10"),
        ({"set": {"max_conections": "1"}}, UsageError, "no parameter 'max_conections'"),
    ):
        with pytest.raises(kind, match=message):
            await planned(operation, {"cluster": "orders", **asked})
    await execute(mariadb, "REVOKE SUPER ON *.* FROM `applier`@`%`")
    fleet = fleet_of("mysql", {"db1": replace(mariadb.access().address)}, user="applier", password="s3cret")
    with pytest.raises(Denied, match="needs SUPER"):
        await planned(ApplySettings(fleet=fleet, engines=Engines()), {"cluster": "orders", "set": {"max_connections": "99"}})


async def test_a_manual_change_between_plan_and_run_is_respected(operation: ApplySettings, mariadb: MariaDbServer) -> None:
    before = await value_of(mariadb, "max_connections")
    plan = (await planned(operation, {"cluster": "orders", "set": {"max_connections": 88}})).plan
    await execute(mariadb, "SET GLOBAL max_connections = 99")
    with pytest.raises(PlanChanged, match=f"max_connections is 99 now, and was {before} when it was planned"):
        await do(operation, plan, "apply:db1")
    await execute(mariadb, f"SET GLOBAL max_connections = {before}")
