"""What each error means is proved by provoking it on a real server."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack

import asyncmy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mysql_kit import administrator, execute, granted, request

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.facts import meaning_of
from dbre.engines.mysql.faults import FAULTS, classify
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.engine import Access, Blame
from dbre.ports.probe import Outcome

BAD, EXCLUDED = Blame.BAD, Blame.EXCLUDED
SLOW = "SELECT COUNT(*) FROM lab.seq_1_to_1000000 AS a JOIN lab.seq_1_to_1000000 AS b WHERE a.seq + b.seq = 0"


async def provoke(call: Awaitable[object]) -> BaseException:
    with pytest.raises((asyncmy.errors.MySQLError, OSError)) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("SELECT nothing FROM mysql.user", 1054),
        ("SELEC 1", 1064),
        ("SELECT * FROM lab.nothing", 1146),
        ("INSERT INTO lab.faults VALUES (1), (1)", 1062),
        ("DELETE FROM lab.faults_parent", 1451),
        ("INSERT INTO lab.faults_child VALUES (9)", 1452),
        ("SELECT * FROM nowhere.nothing", 1146),
        ("USE nowhere", 1049),
    ],
)
async def test_mistakes_of_the_client_do_not_count(mariadb: MariaDbServer, statement: str, number: int) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "CREATE TABLE IF NOT EXISTS lab.faults (id int PRIMARY KEY)")
        await execute(admin, "CREATE TABLE IF NOT EXISTS lab.faults_parent (id int PRIMARY KEY)")
        await execute(
            admin,
            "CREATE TABLE IF NOT EXISTS lab.faults_child (id int, FOREIGN KEY (id) REFERENCES lab.faults_parent (id))",
        )
        await execute(admin, "INSERT IGNORE INTO lab.faults_parent VALUES (1)")
        await execute(admin, "INSERT INTO lab.faults_child VALUES (1)")
        verdict = classify(await provoke(execute(admin, statement)))
    assert verdict is not None
    assert (verdict.code, verdict.blame, verdict.retryable) == (str(number), EXCLUDED, False)


async def test_a_wrong_password_is_the_callers_affair(mariadb: MariaDbServer) -> None:
    address = mariadb.address
    error = await provoke(asyncmy.connect(host=address.host, port=address.port, user="root", password="wrong"))
    verdict = classify(error)
    assert verdict is not None
    assert (verdict.code, verdict.blame) == ("1045", EXCLUDED)
    assert isinstance(FAULTS.translate(error, mariadb.access()), Denied)


async def test_a_lock_that_is_not_given_speaks_against_the_server_and_may_be_tried_again(mariadb: MariaDbServer) -> None:
    async with administrator(mariadb) as holder, administrator(mariadb) as waiter:
        await execute(holder, "CREATE TABLE IF NOT EXISTS lab.waits (id int PRIMARY KEY)")
        await execute(holder, "INSERT IGNORE INTO lab.waits VALUES (1)")
        await execute(holder, "BEGIN")
        await execute(holder, "UPDATE lab.waits SET id = 1 WHERE id = 1")
        await execute(holder, "SELECT * FROM lab.waits WHERE id = 1 FOR UPDATE")
        await execute(waiter, "SET SESSION innodb_lock_wait_timeout = 1")
        verdict = classify(await provoke(execute(waiter, "SELECT * FROM lab.waits WHERE id = 1 FOR UPDATE")))
    assert verdict is not None
    assert (verdict.code, verdict.blame, verdict.retryable) == ("1205", BAD, True)


async def test_the_victim_of_a_deadlock_may_try_again(mariadb: MariaDbServer) -> None:
    async with administrator(mariadb) as one, administrator(mariadb) as other:
        await execute(one, "CREATE TABLE IF NOT EXISTS lab.knot (id int PRIMARY KEY, n int)")
        await execute(one, "INSERT IGNORE INTO lab.knot VALUES (1, 0), (2, 0)")
        for connection, row in ((one, 1), (other, 2)):
            await execute(connection, "BEGIN")
            await execute(connection, f"UPDATE lab.knot SET n = n + 1 WHERE id = {row}")
        crossed = await asyncio.gather(
            execute(one, "UPDATE lab.knot SET n = n + 1 WHERE id = 2"),
            execute(other, "UPDATE lab.knot SET n = n + 1 WHERE id = 1"),
            return_exceptions=True,
        )
        for connection in (one, other):
            await execute(connection, "ROLLBACK")
    (victim,) = [error for error in crossed if isinstance(error, BaseException)]
    verdict = classify(victim)
    assert verdict is not None
    assert (verdict.code, verdict.blame, verdict.retryable) == ("1213", BAD, True)


async def test_the_servers_own_timer_speaks_against_the_server(mariadb: MariaDbServer) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "SET SESSION max_statement_time = 0.1")
        error = await provoke(execute(admin, SLOW))
    verdict = classify(error)
    assert verdict is not None
    assert (verdict.code, verdict.blame) == ("1969", BAD)
    assert isinstance(FAULTS.translate(error, mariadb.access()), Unreachable)


@pytest.mark.parametrize(
    ("verb", "code", "blame"), [("KILL QUERY", "1317", EXCLUDED), ("KILL CONNECTION", ("1927", None), BAD)]
)
async def test_a_cancel_on_request_does_not_count_and_a_killed_connection_does(
    mariadb: MariaDbServer, verb: str, code: object, blame: Blame
) -> None:
    async with administrator(mariadb) as admin, administrator(mariadb) as victim:
        running = asyncio.create_task(execute(victim, SLOW))
        await asyncio.sleep(0.2)
        await execute(admin, f"{verb} {victim.thread_id()}")
        verdict = classify(await provoke(running))
    assert verdict is not None
    assert verdict.code in (code if isinstance(code, tuple) else (code,))
    assert verdict.blame is blame


async def test_a_read_only_server_speaks_against_the_server(mariadb: MariaDbServer) -> None:
    engine, password = MySqlEngine(), "s3cret-writer"
    async with administrator(mariadb) as admin:
        await execute(admin, "CREATE OR REPLACE USER writer@`%` IDENTIFIED BY 's3cret-writer'")
        await execute(admin, "GRANT ALL ON lab.* TO writer@`%`")
        await execute(admin, "SET GLOBAL read_only = 1")
        try:
            address = mariadb.address
            writer = await asyncmy.connect(host=address.host, port=address.port, user="writer", password=password)
            error = await provoke(execute(writer, "CREATE TABLE lab.written (id int)"))
            writer.close()
        finally:
            await execute(admin, "SET GLOBAL read_only = 0")
    verdict = engine.classify(error)
    assert verdict is not None
    assert (verdict.code, verdict.blame, verdict.retryable) == ("1290", BAD, False)


async def test_the_number_of_read_only_does_not_count_where_another_option_forbids(mariadb: MariaDbServer) -> None:
    other = asyncmy.errors.OperationalError(
        1290, "The MariaDB server is running with the --secure-file-priv option so it cannot execute this statement"
    )
    verdict = classify(other)
    assert verdict is not None
    assert verdict.blame is EXCLUDED


async def test_a_full_server_is_bad_for_a_fresh_probe_and_says_too_many_connections(own_mariadb: MariaDbServer) -> None:
    access = await granted(own_mariadb, "prober")
    async with administrator(own_mariadb) as admin:
        await execute(admin, "SET GLOBAL max_connections = 10")
        address = own_mariadb.address
        async with AsyncExitStack() as crowd:
            for _ in range(9):
                one = await asyncmy.connect(host=address.host, port=address.port, user="prober", password="s3cret-prober")
                crowd.callback(one.close)
            probe = MySqlEngine().probe(access)
            reading = await probe.measure(request(fresh=True))
            await probe.aclose()
        await execute(admin, "SET GLOBAL max_connections = 150")
    assert (reading.outcome, reading.code) == (Outcome.BAD, "1040"), reading
    assert "too many connections" in str(reading.reason).lower()


async def test_an_own_limit_of_connections_counts(own_mariadb: MariaDbServer) -> None:
    async with administrator(own_mariadb) as admin:
        await execute(admin, "CREATE OR REPLACE USER lonely@`%` IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1")
    address = own_mariadb.address
    first = await asyncmy.connect(host=address.host, port=address.port, user="lonely", password="x")
    try:
        verdict = classify(await provoke(asyncmy.connect(host=address.host, port=address.port, user="lonely", password="x")))
    finally:
        first.close()
    assert verdict is not None
    assert verdict.code in ("1203", "1226")


async def test_a_killed_server_breaks_the_connection_and_then_refuses(own_mariadb: MariaDbServer) -> None:
    address = own_mariadb.address
    connection = await asyncmy.connect(
        host=address.host, port=address.port, user="root", password=own_mariadb.password.reveal()
    )
    running = asyncio.create_task(execute(connection, SLOW))
    await asyncio.sleep(0.2)
    await own_mariadb.kill()
    lost = await provoke(running)
    refused = await provoke(asyncmy.connect(host=address.host, port=address.port, user="root", password=""))
    await own_mariadb.start()
    assert [FAULTS.network_code(error) for error in (lost, refused)] == ["connection_lost", "connection_refused"]
    for error in (lost, refused):
        verdict = classify(error)
        assert verdict is not None
        assert (verdict.blame, verdict.code, verdict.retryable) == (BAD, None, True)


SLO_BAD = (1021, 1040, 1203, 1205, 1213, 1290, 1836, *range(2002, 2014), *range(126, 146))
SLO_EXCLUDED = (1045, 1054, 1062, 1064, 1146, 1451, 1452)


@pytest.mark.parametrize("number", SLO_BAD)
def test_what_the_taxonomy_calls_bad_is_bad(number: int) -> None:
    assert meaning_of(number, None).blame is BAD


@pytest.mark.parametrize("number", SLO_EXCLUDED)
def test_what_the_taxonomy_excludes_is_excluded(number: int) -> None:
    assert meaning_of(number, None).blame is EXCLUDED


@given(st.integers(0, 65_535), st.text(max_size=300))
def test_any_error_has_one_clean_line(number: int, text: str) -> None:
    verdict = classify(asyncmy.errors.OperationalError(number, text))
    assert verdict is not None
    assert verdict.reason == printable(verdict.reason)
    assert len(verdict.reason) <= 300


def test_a_password_that_a_server_echoes_is_taken_out() -> None:
    access = Access(address=Address("db", 3306), user="dbre", password=Secret("hunter2-secret"), database=None)
    told = FAULTS.translate(asyncmy.errors.OperationalError(1045, "you said hunter2-secret"), access)
    assert "hunter2" not in repr(told.as_document())
