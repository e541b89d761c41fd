"""``settings.apply`` on a real Redis: in effect at once, kept in the server's own file, and taken back in both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from settings_kit import Engines, do, fleet_of, planned, probe, undo, verified, walk

from dbre.capabilities.settings.operations.apply_settings import ApplySettings
from dbre.core.errors import DbreError, Denied, Unsupported, UsageError
from dbre.core.operation.definition import OutcomeUnknown
from dbre.core.operation.plan import Risk
from dbre.engines.redis.grants import grant_script
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.settings import SettingNotInEffect, SettingRefused
from dbre.testing.fixtures import running


@pytest.fixture(scope="module")
async def server(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisServer]:
    """With a login that watches and may change settings; its file is rewritten."""
    async with running(RedisServer("set-r", lab_site, program=redis_server.program)) as found:
        await tell(found, grant_script("applier").strip() + " >s3cret +config|set +config|rewrite")
        await tell(found, grant_script("watcher").strip() + " >s3cret")
        yield found


@pytest.fixture
def operation(server: RedisServer) -> ApplySettings:
    return ApplySettings(fleet=fleet_of("redis", {"db1": server}, user="applier", password="s3cret"), engines=Engines())


async def tell(server: RedisServer, line: str) -> object:
    """As the administrator."""
    client = Redis(host=server.address.host, port=server.address.port, password=server.password.reveal(), decode_responses=True)
    try:
        return await client.execute_command(*line.split(" "))
    finally:
        await client.aclose()


async def value_of(server: RedisServer, name: str) -> str:
    found = await tell(server, f"CONFIG GET {name}")
    assert isinstance(found, dict)
    return str(found[name])


def kept(server: RedisServer) -> dict[str, str]:
    lines = Path(server.directory / "redis.conf").read_text().splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


async def test_apply_verify_restart_and_take_back(operation: ApplySettings, server: RedisServer) -> None:
    asked = {"cluster": "orders", "set": {"maxmemory": "65mb", "maxmemory-policy": "allkeys-lru"}}
    plan = (await planned(operation, asked)).plan
    assert (plan.risk, [one.name for one in plan.steps]) == (Risk.SEVERE, ["apply:db1"])
    assert any("throws keys out" in one for one in plan.warnings)

    await walk(operation, plan)

    assert await value_of(server, "maxmemory") == str(65 << 20)
    assert kept(server)["maxmemory-policy"] == "allkeys-lru"
    assert {holds for holds, _ in (await verified(operation, plan)).values()} == {True}
    assert (await planned(operation, asked)).plan.steps == ()
    await server.stop()
    await server.start()
    assert await value_of(server, "maxmemory-policy") == "allkeys-lru"
    await undo(operation, plan, "apply:db1")
    assert (await value_of(server, "maxmemory"), await value_of(server, "maxmemory-policy")) == (str(64 << 20), "noeviction")
    assert kept(server).get("maxmemory-policy", "noeviction") == "noeviction"  # Redis leaves out what is built in


async def test_what_was_set_by_somebody_who_was_killed_before_it_was_kept(
    operation: ApplySettings, server: RedisServer
) -> None:
    plan = (await planned(operation, {"cluster": "orders", "set": {"maxmemory-samples": "8"}})).plan
    await tell(server, "CONFIG SET maxmemory-samples 8")
    with pytest.raises(OutcomeUnknown, match="db1 does not tell whether it keeps maxmemory-samples"):
        await probe(operation, plan, "apply:db1")
    assert "maxmemory-samples" not in kept(server)
    await walk(operation, plan)
    assert kept(server)["maxmemory-samples"] == "8"
    await tell(server, "CONFIG SET maxmemory-samples 5")
    await undo(operation, plan, "apply:db1")
    assert kept(server).get("maxmemory-samples", "5") == "5"


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("tcp-backlog", "300", SettingRefused, "read when the server starts"),
        ("replica-read-only", "no", SettingRefused, "who is primary"),
        ("requirepass", "x", SettingRefused, "secret"),
        ("maxmemori", "1mb", UsageError, "no parameter"),
        ("maxmemory", "1 2", UsageError, "one word"),
    ],
    ids=["start", "role", "secret", "typo", "words"],
)
async def test_what_cannot_be_is_refused_before(
    operation: ApplySettings, name: str, value: str, kind: type[DbreError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await planned(operation, {"cluster": "orders", "set": {name: value}})
    with pytest.raises(Unsupported, match="by default"):
        await planned(operation, {"cluster": "orders", "reset": ["maxmemory"]})


async def test_what_the_server_does_not_take_leaves_the_first_one_as_it_was(
    operation: ApplySettings, server: RedisServer
) -> None:
    before = await value_of(server, "maxmemory-samples")
    plan = (await planned(operation, {"cluster": "orders", "set": {"maxmemory-samples": "7", "hz": "many"}})).plan
    with pytest.raises(UsageError, match="does not take hz=many"):
        await do(operation, plan, plan.steps[0].name)
    assert await value_of(server, "maxmemory-samples") == before


@pytest.mark.parametrize(
    ("name", "value", "risk"),
    [
        ("maxmemory", "65mb", Risk.MODERATE),
        ("maxmemory", "0", Risk.MODERATE),
        ("maxmemory", "63mb", Risk.SEVERE),
        ("maxmemory-policy", "volatile-ttl", Risk.SEVERE),
        ("stop-writes-on-bgsave-error", "no", Risk.SEVERE),
    ],
    ids=["more", "no-limit", "less", "evicts", "saves-nothing"],
)
async def test_what_may_cost_keys_is_severe(operation: ApplySettings, name: str, value: str, risk: Risk) -> None:
    plan = (await planned(operation, {"cluster": "orders", "set": {name: value}})).plan
    assert plan.risk is risk
    assert bool(plan.warnings) is (risk is Risk.SEVERE)


async def test_without_the_privilege_or_a_file_that_can_be_written_nothing_changes(
    operation: ApplySettings, server: RedisServer
) -> None:
    fleet = fleet_of("redis", {"db1": server}, user="watcher", password="s3cret")
    with pytest.raises(Denied, match=r"config\|set"):
        await planned(ApplySettings(fleet=fleet, engines=Engines()), {"cluster": "orders", "set": {"hz": "20"}})
    before, file = await value_of(server, "hz"), server.directory / "redis.conf"
    plan = (await planned(operation, {"cluster": "orders", "set": {"hz": "20"}})).plan
    file.rename(away := file.with_suffix(".away"))
    file.mkdir()
    try:
        with pytest.raises(SettingNotInEffect, match="cannot write its configuration file"):
            await do(operation, plan, plan.steps[0].name)
    finally:
        file.rmdir()
        away.rename(file)
    assert await value_of(server, "hz") == before
