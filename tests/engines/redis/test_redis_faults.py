"""What each error means is proved by provoking it on a real server."""

import asyncio
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis_kit import administrator, granted, impatient_client, probed

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address, EndpointPurpose
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.engines.redis import RedisEngine
from dbre.engines.redis.facts import meaning_of
from dbre.engines.redis.faults import FAULTS, classify
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.engine import Access, Blame
from dbre.ports.probe import Outcome, ProbeDeadlines

BAD, EXCLUDED = Blame.BAD, Blame.EXCLUDED


async def provoke(call: Awaitable[object]) -> BaseException:
    with pytest.raises((exceptions.RedisError, OSError)) as caught:
        await call
    return caught.value


async def test_mistakes_of_the_client_do_not_count(redis_server: RedisServer) -> None:
    async with administrator(redis_server) as admin:
        await admin.set("text", "x")
        wrong_type = await provoke(admin.execute_command("LPUSH", "text", "y"))
        unknown = await provoke(admin.execute_command("NOSUCH", "x"))
        syntax = await provoke(admin.execute_command("SET", "text", "x", "NONSENSE"))
        number = await provoke(admin.execute_command("INCR", "text"))
    verdicts = [classify(error) for error in (wrong_type, unknown, syntax, number)]
    assert [(one.code, one.blame, one.retryable) for one in verdicts if one] == [
        ("WRONGTYPE", EXCLUDED, False),
        ("ERR", EXCLUDED, False),
        ("ERR", EXCLUDED, False),
        ("ERR", EXCLUDED, False),
    ]


@pytest.mark.parametrize(("password", "code"), [(None, "NOAUTH"), ("wrong", "WRONGPASS")])
async def test_a_refused_login_is_the_callers_affair_and_denied(
    redis_server: RedisServer, password: str | None, code: str
) -> None:
    client = impatient_client(redis_server, password)
    error = await provoke(client.execute_command("PING"))
    await client.aclose()
    verdict = classify(error)
    assert verdict is not None
    assert (verdict.code, verdict.blame) == (code, EXCLUDED)
    assert isinstance(FAULTS.translate(error, redis_server.access()), Denied)


async def test_a_missing_privilege_is_the_callers_affair_and_names_the_grants(redis_server: RedisServer) -> None:
    async with administrator(redis_server) as admin:
        await admin.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">x", "+ping")
    server = RedisEngine().connect(redis_server.access(user="poor", password=Secret("x")))
    with pytest.raises(Denied) as caught:
        await server.settings.list()
    await server.aclose()
    verdict = RedisEngine().classify(caught.value)
    assert verdict is not None
    assert (verdict.code, verdict.blame) == ("NOPERM", EXCLUDED)
    assert "--grants" in str(caught.value.hint)


async def test_a_full_memory_is_bad(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "prober")
    async with administrator(own_redis) as admin:
        await admin.config_set("maxmemory", "1")
        reading = await probed(access)
        await admin.config_set("maxmemory", "0")
    assert (reading.outcome, reading.code) == (Outcome.BAD, "OOM"), reading


async def test_a_replica_refuses_writes_and_may_refuse_stale_reads(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "prober")
    async with administrator(own_redis) as admin:
        await admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            read_only = await provoke(admin.set("x", "y"))
            await admin.config_set("replica-serve-stale-data", "no")
            stale = await provoke(admin.get("x"))
            reading = await probed(access, purpose=EndpointPurpose.REPLICA)
            write = await probed(access)
        finally:
            await admin.execute_command("REPLICAOF", "NO", "ONE")
    verdicts = [classify(error) for error in (read_only, stale)]
    assert [(one.code, one.blame, one.retryable) for one in verdicts if one] == [
        ("READONLY", BAD, False),
        ("MASTERDOWN", BAD, True),
    ]
    assert (reading.outcome, reading.code) == (Outcome.BAD, "MASTERDOWN"), reading
    assert (write.outcome, write.code) == (Outcome.BAD, "wrong_role"), write


async def test_too_few_replicas_for_writes_is_bad(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "prober")
    async with administrator(own_redis) as admin:
        await admin.config_set("min-replicas-to-write", "1")
        reading = await probed(access)
    assert (reading.outcome, reading.code) == (Outcome.BAD, "NOREPLICAS"), reading


async def test_a_full_server_is_bad(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "prober")
    async with administrator(own_redis) as admin:
        await admin.config_set("maxclients", "1")
        reading = await probed(access)
        await admin.config_set("maxclients", "100")
    assert (reading.outcome, reading.code) == (Outcome.BAD, "ERR"), reading
    assert "too many connections" in str(reading.reason)


async def test_a_script_that_keeps_the_server_busy_is_bad(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "prober")
    async with administrator(own_redis) as admin, administrator(own_redis) as other:
        await admin.config_set("busy-reply-threshold", "50")
        script = asyncio.create_task(other.eval("while true do end", 0))
        try:
            await asyncio.sleep(0.3)
            reading = await probed(access)
        finally:
            await admin.execute_command("SCRIPT", "KILL")
        await asyncio.gather(script, return_exceptions=True)
        again = await probed(access, 2)
    assert (reading.outcome, reading.code) == (Outcome.BAD, "BUSY"), reading
    assert again.outcome is Outcome.GOOD, again


async def test_a_server_that_loads_its_data_is_bad_and_good_again_when_it_has(
    redis_server: RedisServer, lab_site: Site
) -> None:
    slow = RedisServer("slow-redis", lab_site, program=redis_server.program, settings={"key-load-delay": "50"})
    try:
        await slow.start()
        async with administrator(slow) as admin:
            await admin.execute_command("EVAL", "for i = 1, 20000 do redis.call('SET', 'k' .. i, 'v') end", "0")
        await slow.kill()
        starting = asyncio.create_task(slow.start())
        codes = []
        while not starting.done():
            reading = await probed(slow.access())
            codes.append(reading.code)
            await asyncio.sleep(0.02)
        await starting
        loaded = await probed(slow.access(), 2)
    finally:
        await slow.destroy()
    assert "LOADING" in codes, codes
    assert set(codes) <= {None, "LOADING", "connection_refused", "timeout"}, codes
    assert loaded.outcome is Outcome.GOOD, loaded


async def test_a_killed_server_breaks_the_connection_and_then_refuses(own_redis: RedisServer) -> None:
    async with administrator(own_redis) as admin:
        waiting = asyncio.create_task(admin.execute_command("BLPOP", "nothing", "0"))
        await asyncio.sleep(0.1)
        await own_redis.kill()
        lost = await provoke(waiting)
    refused = await probed(own_redis.access())
    server = RedisEngine().connect(own_redis.access())
    with pytest.raises(Unreachable) as caught:
        await server.session.identify()
    await server.aclose()
    await own_redis.start()
    verdict = classify(lost)
    assert verdict is not None
    assert (verdict.blame, verdict.code, verdict.retryable, FAULTS.network_code(lost)) == (BAD, None, True, "connection_lost")
    assert (refused.outcome, refused.code) == (Outcome.BAD, "connection_refused")
    assert str(own_redis.address) in caught.value.message


async def test_something_else_that_listens_is_bad() -> None:
    """An HTTP server behind the port of a Redis."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    access = Access(address=Address("127.0.0.1", port), user=None, password=None, database=None)
    reading = await probed(access, deadlines=ProbeDeadlines(connect_seconds=0.5, statement_seconds=0.5, total_seconds=1))
    listener.close()
    assert reading.outcome is Outcome.BAD, reading


SLO_BAD = ("LOADING", "MASTERDOWN", "READONLY", "OOM", "CLUSTERDOWN", "TRYAGAIN")
SLO_EXCLUDED = ("WRONGTYPE", "NOAUTH")


@pytest.mark.parametrize(("word", "blame"), [(word, BAD) for word in SLO_BAD] + [(word, EXCLUDED) for word in SLO_EXCLUDED])
def test_the_taxonomy_is_kept(word: str, blame: Blame) -> None:
    assert meaning_of(word, "some text").blame is blame


@given(st.text(max_size=300))
def test_any_error_has_one_clean_line(text: str) -> None:
    for error in (exceptions.ResponseError(text), exceptions.ConnectionError(text)):
        verdict = classify(error)
        assert verdict is not None
        assert verdict.reason == printable(verdict.reason)
        assert len(verdict.reason) <= 300


def test_a_password_that_a_server_echoes_is_taken_out() -> None:
    access = Access(address=Address("cache", 6379), user="dbre", password=Secret("hunter2-secret"), database=None)
    told = FAULTS.translate(exceptions.ResponseError("you said hunter2-secret"), access)
    assert "hunter2" not in repr(told.as_document())
