"""What clients do to real servers, and whether they are told the truth about what was not acknowledged."""

import asyncio
from typing import Any

import psycopg
import pytest
from ha_live import Engines

from dbre.core.fleet import Address
from dbre.lab.postgres import PostgresServer
from dbre.lab.server import LabServer
from dbre.ports.client_work import ClientWork, ClientWorkload, Fate, WorkFailed

pytestmark = pytest.mark.slow


def work(f: str, value: Any, *, workload: ClientWorkload = ClientWorkload.LEDGER, run: str = "r1") -> ClientWork:
    return ClientWork(run=run, workload=workload, f=f, value=value)


@pytest.fixture(params=["mariadb", "postgres15", "redis_server"])
def server(request: pytest.FixtureRequest) -> LabServer:
    return request.getfixturevalue(request.param)


async def test_the_acts_that_every_engine_knows(server: LabServer) -> None:
    clients = Engines().get(server.engine).client(server.access())
    await clients.prepare("r1", ClientWorkload.LEDGER)
    await clients.prepare("r1", ClientWorkload.LEDGER)  # nothing is wrong with what is there
    session = await clients.connect()
    try:
        for number in (7, 8, 8):
            reply = await session.do(work("write", number))
            assert (reply.value, Address.parse(reply.node, default_port=0)) == (number, server.address)
        assert sorted((await session.do(work("read", None))).value) == [7, 8, 8]
        assert (await session.do(work("read", None, run="other"))).value == []

        register = {"workload": ClientWorkload.REGISTER}
        assert (await session.do(work("read", [1, None], **register))).value == [1, None]
        await session.do(work("write", [1, 5], **register))
        await session.do(work("cas", [1, [5, 6]], **register))
        with pytest.raises(WorkFailed, match="another value") as refused:
            await session.do(work("cas", [1, [5, 7]], **register))
        assert refused.value.fate is Fate.FAILED
        assert (await session.do(work("read", [1, None], **register))).value == [1, 6]
        await clients.remove("r1")
        assert (await session.do(work("read", None))).value == []
        assert session.is_usable
    finally:
        session.abort()


async def test_transactions_and_money_on_postgresql(postgres15: PostgresServer) -> None:
    clients = Engines().get("postgresql").client(postgres15.access())
    await clients.prepare("bank", ClientWorkload.BANK)
    one, other = await clients.connect(), await clients.connect()
    try:
        bank = {"workload": ClientWorkload.BANK, "run": "bank"}
        before = (await one.do(work("read", None, **bank))).value
        await one.do(work("transfer", {"from": 1, "to": 2, "amount": 30}, **bank))
        after = (await one.do(work("read", None, **bank))).value
        assert (after["1"], after["2"], sum(after.values())) == (before["1"] - 30, before["2"] + 30, sum(before.values()))
        with pytest.raises(WorkFailed, match="23514") as overdrawn:
            await one.do(work("transfer", {"from": 1, "to": 2, "amount": 10_000}, **bank))
        assert overdrawn.value.fate is Fate.FAILED

        lists = {"workload": ClientWorkload.LIST_APPEND, "run": "lists"}
        await clients.prepare("lists", ClientWorkload.LIST_APPEND)
        done = await one.do(work("txn", [["append", 1, 10], ["r", 1, None], ["r", 2, None]], **lists))
        assert done.value == [["append", 1, 10], ["r", 1, [10]], ["r", 2, []]]
        # Write skew: one of the two must fail for certain, and its session is fit for the next act.
        fates = []
        for _ in range(200):
            skew = [
                one.do(work("txn", [["r", 3, None], ["append", 4, 1]], **lists)),
                other.do(work("txn", [["r", 4, None], ["append", 3, 1]], **lists)),
            ]
            fates = [error for error in await asyncio.gather(*skew, return_exceptions=True) if isinstance(error, WorkFailed)]
            if fates:
                break
        assert [error.fate for error in fates] == [Fate.FAILED] * len(fates)
        assert fates
        assert "40001" in fates[0].reason
        assert one.is_usable
        assert other.is_usable
    finally:
        one.abort()
        other.abort()
        await clients.remove("bank")
        await clients.remove("lists")


async def test_a_session_that_is_ended_while_it_commits_knows_nothing(fresh_postgres: PostgresServer) -> None:
    """A replica that never comes holds the commit up: ended meanwhile, by whomever, the row is there all the same."""
    async with await psycopg.AsyncConnection.connect(fresh_postgres.conninfo(), autocommit=True) as admin:
        await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    clients = Engines().get("postgresql").client(fresh_postgres.access())
    await clients.prepare("r1", ClientWorkload.LEDGER)
    await fresh_postgres.stop()
    await fresh_postgres.start()  # a reload would be heeded by each process when it comes to it
    session = await clients.connect()
    async with await psycopg.AsyncConnection.connect(fresh_postgres.conninfo(), autocommit=True) as admin:
        for number, how in enumerate(("pg_cancel_backend", "pg_terminate_backend")):
            act = asyncio.create_task(session.do(work("write", number)))
            while not act.done():
                await admin.execute(f"SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                await asyncio.sleep(0.05)
            with pytest.raises(WorkFailed) as ended:
                await act
            assert ended.value.fate is Fate.UNKNOWN, ended.value.reason
        assert not session.is_usable
        stored = await admin.execute("SELECT id FROM dbre.client_ledger ORDER BY id")
        assert [row[0] for row in await stored.fetchall()] == [0, 1]
