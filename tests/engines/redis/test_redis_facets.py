"""Facets on real servers: a pair, hostile keys, settings, metrics, commands."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis_kit import administrator, granted, probed

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import EndpointPurpose
from dbre.engines.redis import RedisEngine
from dbre.engines.redis.commands import all_commands, named, words_of
from dbre.engines.redis.facts import IMMUTABLE_SETTINGS, SECRET_SETTINGS, Product, identify_product
from dbre.engines.redis.metrics import families, info_families
from dbre.lab.redis import RedisServer
from dbre.ports.engine import Access
from dbre.ports.probe import Outcome
from dbre.ports.replication import ReplicationStatus
from dbre.ports.session import Role
from dbre.ports.settings import Applies
from dbre.testing.conformance.subject import HOSTILE_NAMES

ENGINE = RedisEngine()
FORBIDDEN = (
    "GET x", "SET dbre:hb:x 1", "ZADD other 1 x", "ZSCORE other x", "CONFIG SET port 1", "FLUSHALL", "EVAL script 0", "KEYS *",
    "CLIENT KILL ID 1", "ACL LIST", "REPLICAOF NO ONE", "SHUTDOWN", "DEBUG SLEEP 1", "MONITOR", "SUBSCRIBE x",
)  # fmt: skip


async def status_of(access: Access) -> ReplicationStatus:
    server = ENGINE.connect(access)
    try:
        return await server.replication.status()
    finally:
        await server.aclose()


async def accesses(pair) -> tuple[Access, Access]:
    return await granted(pair.primary, "watcher"), await granted(pair.replica, "watcher")


async def test_a_pair_names_each_other_and_lag_is_bytes(redis_pair) -> None:
    primary, replica = await accesses(redis_pair)
    for _ in range(100):
        feeding, fed = await status_of(primary), await status_of(replica)
        if feeding.links and feeding.links[0].replay_lag_bytes == 0:
            break
        await asyncio.sleep(0.05)
    (link,) = feeding.links
    assert (link.name, link.state, link.sync_state) == (str(redis_pair.replica.address), "online", "async")
    assert (link.replay_lag_bytes, link.replay_lag_seconds) == (0, None)
    assert (fed.role, fed.upstream, fed.is_receiving) == (Role.REPLICA, str(redis_pair.primary.address), True)
    assert (fed.replay_lag_bytes, fed.replay_lag_seconds) == (0, None)


async def test_a_heartbeat_reaches_the_replica(redis_pair) -> None:
    primary, replica = await accesses(redis_pair)
    assert (await probed(primary, 11)).outcome is Outcome.GOOD
    for _ in range(100):
        seen = await probed(replica, purpose=EndpointPurpose.REPLICA)
        if seen.heartbeat_sequence == 11:
            break
        await asyncio.sleep(0.02)
    wrong = await probed(replica, 12)
    assert (seen.outcome, seen.role, seen.heartbeat_sequence) == (Outcome.GOOD, Role.REPLICA, 11), seen
    assert (wrong.outcome, wrong.code) == (Outcome.BAD, "wrong_role"), wrong


async def test_a_frozen_replica_falls_behind_in_bytes(redis_pair) -> None:
    primary, _ = await accesses(redis_pair)
    await redis_pair.replica.freeze()
    try:
        async with administrator(redis_pair.primary) as admin:
            await admin.set("weight", b"x" * 100_000)
        behind = await status_of(primary)
    finally:
        await redis_pair.replica.thaw()
    (link,) = behind.links
    assert link.replay_lag_bytes is not None
    assert link.replay_lag_bytes >= 100_000


async def test_a_replica_without_its_primary_says_so(redis_pair) -> None:
    _, replica = await accesses(redis_pair)
    async with administrator(redis_pair.replica) as admin:
        await admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            alone = await status_of(replica)
        finally:
            await admin.execute_command("REPLICAOF", redis_pair.primary.address.host, redis_pair.primary.address.port)
    assert (alone.role, alone.is_receiving, alone.upstream) == (Role.REPLICA, False, "127.0.0.1:1")


async def test_keys_with_hostile_names_are_kept_apart(redis_server: RedisServer) -> None:
    access = await granted(redis_server, "hostile")
    for position, name in enumerate(HOSTILE_NAMES, start=1):
        reading = await probed(access, position, row=name)
        assert (reading.outcome, reading.heartbeat_sequence) == (Outcome.GOOD, position), reading
    async with administrator(redis_server) as admin:
        keys = {key.decode() for key in await admin.keys("dbre:hb:*")}
    assert {f"dbre:hb:{name}" for name in HOSTILE_NAMES} <= keys


async def test_the_granted_login_may_do_nothing_else(redis_server: RedisServer) -> None:
    access = await granted(redis_server, "narrow")
    async with administrator(redis_server) as admin:
        for command in FORBIDDEN:
            answer = await admin.execute_command("ACL", "DRYRUN", str(access.user), *command.split())
            assert b"no permissions" in answer, (command, answer)


async def test_somebody_elses_key_is_not_overwritten(own_redis: RedisServer) -> None:
    access = await granted(own_redis, "careful")
    async with administrator(own_redis) as admin:
        await admin.set("dbre:hb:check", "mine")
    probe = ENGINE.probe(access)
    with pytest.raises(UsageError, match="is not dbre's"):
        await probe.prepare()
    await probe.aclose()


async def test_passwords_are_withheld_and_the_rest_is_told(own_redis: RedisServer) -> None:
    async with administrator(own_redis) as admin:
        await admin.config_set("masteruser", "replicator")
        await admin.config_set("tls-key-file-pass", "hunter2-key")
    server = ENGINE.connect(await granted(own_redis, "curious"))
    settings = {setting.name: setting for setting in await server.settings.list()}
    await server.aclose()
    withheld = SECRET_SETTINGS & settings.keys()
    assert {"requirepass", "masterauth", "masteruser", "tls-key-file-pass"} <= withheld
    assert all(settings[name].value is None for name in withheld)
    told = repr(settings)
    assert own_redis.password.reveal() not in told
    assert "hunter2" not in told
    assert settings["appendonly"].value == "yes"


async def test_the_table_of_immutable_settings_is_the_servers_own(own_redis: RedisServer) -> None:
    """The server refuses to change exactly these; each is set to the value that it has."""
    refused = set()
    async with administrator(own_redis) as admin:
        every = await admin.config_get("*")
        for name, value in every.items():
            try:
                await admin.config_set(name, value)
            except exceptions.ResponseError as error:
                if "immutable" in str(error):
                    refused.add(name)
    server = ENGINE.connect(await granted(own_redis, "curious"))
    restart = {setting.name for setting in await server.settings.list() if setting.applies is Applies.RESTART}
    await server.aclose()
    assert restart == refused - {"replicaof", "slaveof"}  # the command REPLICAOF changes them without a restart
    assert restart <= IMMUTABLE_SETTINGS


async def test_metrics_have_the_names_of_redis_exporter(redis_pair) -> None:
    primary, replica = await accesses(redis_pair)
    async with administrator(redis_pair.primary) as admin:
        await admin.set("one", "1", ex=1000)
    found = {}
    for name, access in (("primary", primary), ("replica", replica)):
        server = ENGINE.connect(access)
        found[name] = {family.name: family for family in await server.statistics.collect("info")}
        found[name] |= {family.name: family for family in await server.statistics.collect("commands")}
        await server.aclose()
    expected = {
        "redis_connected_clients", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_commands_processed",
        "redis_connections_received", "redis_keyspace_hits", "redis_keyspace_misses", "redis_evicted_keys",
        "redis_expired_keys", "redis_db_keys", "redis_db_keys_expiring", "redis_connected_slaves",
        "redis_connected_slave_offset_bytes", "redis_uptime_in_seconds", "redis_instance_info", "redis_commands",
        "redis_commands_duration_seconds", "redis_mem_fragmentation_ratio", "redis_rdb_last_bgsave_status",
    }  # fmt: skip
    assert expected <= found["primary"].keys()
    assert {"redis_master_link_up", "redis_master_last_io_seconds_ago", "redis_slave_repl_offset"} <= found["replica"].keys()
    assert found["primary"]["redis_db_keys"].samples[0].labels == {"db": "db0"}
    assert found["replica"]["redis_master_link_up"].samples[0].value == 1.0


@given(st.dictionaries(st.sampled_from(["db0", "slave0", "used_memory", "master_host", "role"]), st.text(max_size=60)))
def test_any_info_can_be_read(info: dict[str, str]) -> None:
    assert families(info_families(info))


@given(st.text(max_size=80))
def test_a_parameter_is_never_a_second_word(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert words_of(named("heartbeat_read"), [text]) == [b"ZSCORE", b"dbre:hb:" + text.encode(), b"sequence"]


def test_commands_are_single_words_with_as_many_parameters_as_they_use() -> None:
    for command in all_commands():
        assert "  " not in command.text
        assert command.text.count("$") == len(command.parameters)
    with pytest.raises(TypeError):
        words_of(named("heartbeat_read"), [])


@pytest.mark.parametrize(
    ("info", "product", "version"),
    [
        ({"redis_version": "7.0.15"}, Product.REDIS, (7, 0, 15)),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"}, Product.VALKEY, (8, 1, 0)),
        ({"redis_version": "255.255.255"}, Product.REDIS, (255, 255, 255)),
        ({}, Product.REDIS, ()),
    ],
)
def test_products_are_told_apart_by_what_they_say(info: dict[str, str], product: Product, version: tuple[int, ...]) -> None:
    assert identify_product(info)[:2] == (product, version)


async def test_a_pool_that_is_closed_says_so(redis_server: RedisServer) -> None:
    server = ENGINE.connect(replace(await granted(redis_server, "closed")))
    await server.session.identify()
    await server.aclose()
    with pytest.raises(Unreachable, match="closed"):
        await server.session.identify()
