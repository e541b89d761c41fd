"""Queries in read-only sessions of real servers, as SLIs."""

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from polling_kit import Sink, fleet, polled

from dbre.app import Engines
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.polling.recovery_point import RecoveryPointCounter
from dbre.capabilities.slo.polling.services import ServiceCounter
from dbre.capabilities.slo.polling.sql import SqlPoller
from dbre.capabilities.slo.sources import RecoveryPointSource, ServiceSource, SqlSource
from dbre.core.errors import DbreError, Denied, Unsupported, UsageError
from dbre.core.secrets import Secret
from dbre.engines.mysql import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.engines.redis import RedisEngine
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.ports.engine import Engine, Timeouts
from dbre.ports.session import UnexpectedAnswer
from dbre.testing.clock import FakeClock

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUICK = Timeouts(connect_seconds=10.0, statement_seconds=0.5, lock_seconds=0.3)


async def read(server: PostgresServer | MariaDbServer | RedisServer, engine: Engine, query: str) -> dict[str, object]:
    there = engine.connect(replace(server.access(), timeouts=Timeouts(connect_seconds=20, statement_seconds=20)))
    try:
        return dict(await there.session.read_row(query))
    finally:
        await there.aclose()


@pytest.mark.parametrize("ending", ["", ";", " -- the age", "\n;\n"])
async def test_one_row_of_a_query_is_read(postgres18: PostgresServer, mariadb: MariaDbServer, ending: str) -> None:
    query = f"SELECT 41 + 1 AS value{ending}"
    assert await read(postgres18, PostgresEngine(), query) == {"value": 42}
    assert await read(mariadb, MySqlEngine(), query) == {"value": 42}


@pytest.mark.parametrize("query", ["SELECT 1 AS value WHERE 1 = 0", "SELECT 1 AS value UNION ALL SELECT 2"])
async def test_no_row_and_many_rows_are_no_answer(postgres18: PostgresServer, mariadb: MariaDbServer, query: str) -> None:
    for server, engine in ((postgres18, PostgresEngine()), (mariadb, MySqlEngine())):
        with pytest.raises(UnexpectedAnswer, match="row, and one was due"):
            await read(server, engine, query.replace("SELECT 1 AS value WHERE", "SELECT 1 AS value FROM (SELECT 1) AS t WHERE"))


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE public.p8 (a int)",
        "SELECT 1) AS t; CREATE TABLE public.p8 (a int); SELECT * FROM (SELECT 1",
        "WITH made AS (INSERT INTO public.p8_there VALUES (2) RETURNING a) SELECT a AS value FROM made",
        "SELECT set_config('transaction_read_only', 'off', true)::text AS value",
        "SELECT nextval('public.p8_numbers') AS value",
        "SELECT lo_create(0) AS value",
    ],
)
async def test_postgresql_lets_no_query_change_anything_even_of_a_superuser(postgres18: PostgresServer, query: str) -> None:
    async with await postgres18.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS public.p8_there (a int)")
        await admin.execute("CREATE SEQUENCE IF NOT EXISTS public.p8_numbers")
    with pytest.raises(DbreError):
        await read(postgres18, PostgresEngine(), query)
    async with await postgres18.connect() as admin:
        cursor = await admin.execute("SELECT to_regclass('public.p8') IS NULL, (SELECT count(*) FROM public.p8_there)")
        assert await cursor.fetchone() == (True, 0)


async def test_a_session_that_a_query_made_writable_does_not_stay_so(postgres18: PostgresServer) -> None:
    there = PostgresEngine().connect(replace(postgres18.access(), max_connections=1))
    try:
        await there.session.read_row("SELECT set_config('default_transaction_read_only', 'off', false) AS value")
        found = await there.session.read_row("SELECT current_setting('default_transaction_read_only') AS value")
    finally:
        await there.aclose()
    assert found == {"value": "on"}


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE mysql.user",
        "SELECT 1) AS t; CREATE DATABASE p8; SELECT * FROM (SELECT 1",
        "SELECT 1 AS value INTO OUTFILE '/tmp/p8'",
    ],
)
async def test_mariadb_lets_no_query_change_anything(mariadb: MariaDbServer, query: str) -> None:
    with pytest.raises(DbreError):
        await read(mariadb, MySqlEngine(), query)


async def test_redis_has_no_queries(redis_server: RedisServer) -> None:
    with pytest.raises(Unsupported, match="no queries"):
        await read(redis_server, RedisEngine(), "SELECT 1 AS value")


async def ask(
    server: PostgresServer, query: str, *, limit: float | None = 300.0, **changes: object
) -> tuple[Counts, Sink, str]:
    access = server.access()
    given = {"user": access.user, "password": access.password, **changes}
    source, sink = SqlSource(query=query, limit=limit), Sink()
    poller = SqlPoller(
        [polled(source)],
        fleet(server.address, **given),
        engines=Engines(),
        sink=sink,
        clock=FakeClock(NOW),
        timeouts=QUICK,
    )
    await poller.ask_once()
    return sink.total(), sink, str(poller.sources[0].error)


async def test_answers_of_a_database_become_events(postgres18: PostgresServer) -> None:
    age = "SELECT extract(epoch FROM interval '{} seconds') AS value"
    assert (await ask(postgres18, age.format(300)))[0] == Counts(good=1)
    counts, sink, _ = await ask(postgres18, age.format("300.5"))
    assert (counts, sink.heard_of) == (Counts(bad=1), [("polled", "orders")])
    assert (await ask(postgres18, "SELECT 90 AS good, 100 AS total", limit=None))[0] == Counts(good=90, bad=10)
    assert (await ask(postgres18, "SELECT max(i) AS value FROM generate_series(1, 0) AS i"))[0] == Counts(missed=1)


async def test_our_own_faults_are_excluded_and_are_no_sign_of_life(postgres18: PostgresServer) -> None:
    for query, said in (
        ("SELECT 1 AS age", "no column value; it has age"),
        ("SELECT 'x' AS value", "no number"),
        ("SELECT nothing FROM nowhere", "nowhere"),
    ):
        counts, sink, error = await ask(postgres18, query)
        assert (counts, sink.heard_of) == (Counts(excluded=1), [])
        assert said in error
    counts, _, _ = await ask(postgres18, "SELECT 1 AS value", user="nobody_there", password=Secret("wr0ng"))
    assert counts == Counts(excluded=1)


async def test_a_database_that_does_not_answer_in_time_is_bad(postgres18: PostgresServer) -> None:
    counts, _, error = await ask(postgres18, "SELECT pg_sleep(60)::text AS value")
    assert counts == Counts(bad=1)
    assert "timeout" in error
    away = SqlPoller(
        [polled(SqlSource(query="SELECT 1 AS value", limit=1))],
        fleet(replace(postgres18.address, port=1)),
        engines=Engines(),
        sink=(sink := Sink()),
        clock=FakeClock(NOW),
    )
    await away.ask_once()
    assert sink.total() == Counts(bad=1)


async def test_the_primary_of_several_addresses_is_asked(postgres18: PostgresServer) -> None:
    access, sink = postgres18.access(), Sink()
    poller = SqlPoller(
        [polled(SqlSource(query="SELECT pg_is_in_recovery()::int AS value", limit=0))],
        fleet(replace(postgres18.address, port=1), postgres18.address, user=str(access.user), password=access.password),
        engines=Engines(),
        sink=sink,
        clock=FakeClock(NOW),
    )
    await poller.ask_once()
    assert sink.total() == Counts(good=1)
    assert poller.sources[0].where == str(postgres18.address)


async def test_questions_keep_their_schedule_and_those_that_were_not_asked_are_missed(postgres18: PostgresServer) -> None:
    access, clock, sink = postgres18.access(), FakeClock(NOW), Sink()
    poller = SqlPoller(
        [polled(SqlSource(query="SELECT 1 AS value", limit=1, interval_seconds=60))],
        fleet(postgres18.address, user=str(access.user), password=access.password),
        engines=Engines(),
        sink=sink,
        clock=clock,
    )
    running = asyncio.ensure_future(poller.run())
    try:
        await clock.advance(1)
        clock.step_wall(240)  # asleep, before the first question was due
        await clock.advance(60)
        async with asyncio.timeout(30):
            while sink.total().good < 1 or sink.total().missed < 3:  # noqa: ASYNC110 - the poller knows no event of its own
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait({running})
    slots = sorted(sink.slots["polled", "orders", ""])
    assert {later - earlier for earlier, later in itertools.pairwise(slots)} == {6}


def test_checks_of_a_service_are_events_of_every_slo_that_is_made_of_them() -> None:
    sink = Sink()
    counter = ServiceCounter([polled(ServiceSource(service="broker"))], fleet(), services=["broker"], sink=sink)
    for index, is_good in enumerate((True, False, None)):
        counter.record("broker", at=NOW + timedelta(seconds=10 * index), is_good=is_good)
    counter.record("another", at=NOW, is_good=False)
    assert sink.total() == Counts(good=1, bad=1, missed=1)
    assert len(sink.heard_of) == 2
    with pytest.raises(UsageError, match="service brokers") as caught:
        ServiceCounter([polled(ServiceSource(service="brokers"))], fleet(), services=["broker"], sink=sink)
    assert caught.value.hint == "did you mean broker?"
    assert not isinstance(caught.value, Denied)


def test_what_would_be_lost_is_good_up_to_its_limit_and_bad_when_nobody_knows() -> None:
    sink = Sink()
    counter = RecoveryPointCounter([polled(RecoveryPointSource(limit_seconds=60.0))], fleet(), sink=sink)
    for seconds in (0.0, 60.0, 60.5, None):
        counter.record("orders", NOW, seconds)
    counter.record("elsewhere", NOW, 0.0)
    assert sink.total() == Counts(good=2, bad=2)
    assert list(sink.slots) == [("polled", "orders", "")]
