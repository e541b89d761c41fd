"""What is left of a change that was given up: a server that serves, and no alarm for what was so before."""

from dataclasses import asdict, replace

import pytest
from pair_kit import commands

from dbre.capabilities.upgrade import wholeness
from dbre.capabilities.upgrade.file_settings import FileSettings
from dbre.capabilities.upgrade.restarting import Member, mark_of
from dbre.capabilities.upgrade.setting_acts import SettingActs
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.errors import DbreError, Unreachable
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair, running
from upgrade_kit import Ground, fleet_of


async def test_a_command_that_fails_leaves_nobody_stopped(redis_server: RedisServer, lab_site: Site) -> None:
    async with running(RedisServer("up-given-up", lab_site, program=redis_server.program)) as server:
        servers = {"n1": server}
        fleet = fleet_of(servers, commands(servers))
        ground = Ground.of(fleet, settings={"start": "15s"}).upgrades
        member = Member(ground, fleet.cluster("shop"), fleet.instance("n1"), purpose="test")
        seen: list[bool] = []

        async def locked() -> None:
            seen.append(await member.is_up())
            raise DbreError("the package manager is at work")

        with pytest.raises(DbreError, match="the package manager is at work"):
            await member.restart(between=locked)
        assert seen == [False], "the command runs while the server is stopped"
        assert await member.is_up()


async def test_a_replica_that_was_behind_before_is_no_failed_way_back(postgres_pair: PostgresPair) -> None:
    """Nothing of ours is stored there, so nothing is put back; that it is behind is for whoever paused it."""
    fleet = fleet_of({"n1": postgres_pair.primary, "n2": postgres_pair.replica})
    ground, cluster = Ground.of(fleet, settings={"catch_up": "1s"}).upgrades, fleet.cluster("shop")
    member = Member(ground, cluster, fleet.instance("n2"), purpose="test")
    async with await postgres_pair.replica.connect() as admin:
        await admin.execute("SELECT pg_wal_replay_pause()")
    async with await postgres_pair.primary.connect() as admin:
        await admin.execute("CREATE TABLE behind ()")
    async with ground.server(cluster, fleet.instance("n2"), purpose="test") as server:
        before = await server.settings.state("max_connections")
    change = {"name": before.name, "request": "321", "value": "321", "stored": "321", "before": asdict(before)}
    acts = SettingActs(ground, cluster, member, purpose="test")
    with pytest.raises(NotWhole):
        await member.wait_whole(fleet.instance("n1"))
    await acts.put_back([change], fleet.instance("n1"), restarts=True)
    async with ground.server(cluster, fleet.instance("n2"), purpose="test") as server:
        assert await server.settings.state("max_connections") == before


async def test_a_server_that_goes_silent_meanwhile_is_not_said_to_have_got_back_what_it_had(
    postgres_pair: PostgresPair,
) -> None:
    """It is not to be restarted, and what its file says does not count in one that runs."""
    server = postgres_pair.primary
    fleet = fleet_of({"n1": server, "n2": postgres_pair.replica})
    ground, cluster = Ground.of(fleet).upgrades, fleet.cluster("shop")

    class GoesSilent(Member):
        async def is_up(self) -> bool:
            found = await super().is_up()
            await server.freeze()
            return found

    member = GoesSilent(ground, cluster, fleet.instance("n1"), purpose="test")
    acts = SettingActs(ground, cluster, member, purpose="test")
    async with acts.server() as handle:
        before = asdict(await handle.settings.state("work_mem"))
    change = {"name": "work_mem", "request": "5MB", "value": "5MB", "stored": "5MB", "before": before}
    await acts.store([change])
    try:
        with pytest.raises(Unreachable):
            await acts.put_back([change], None, restarts=False)
    finally:
        await server.thaw()
    again = SettingActs(ground, cluster, Member(ground, cluster, fleet.instance("n1"), purpose="test"), purpose="test")
    await again.put_back([change], None, restarts=False)
    async with again.server() as handle:
        assert asdict(await handle.settings.state("work_mem")) == before


async def test_a_silent_server_is_not_taken_for_one_that_takes_no_writes(
    postgres_pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wholeness, "_SILENCE_SECONDS", 0.5)
    fleet = fleet_of({"n1": postgres_pair.primary, "n2": postgres_pair.replica})
    ground, cluster = Ground.of(fleet).upgrades, fleet.cluster("shop")
    first, second = (Member(ground, cluster, fleet.instance(name), purpose="test") for name in ("n1", "n2"))
    assert await second.require_role(is_primary=False) == fleet.instance("n1")
    await postgres_pair.replica.freeze()
    try:
        assert await second.require_role(is_primary=False) == fleet.instance("n1")  # it is to be restarted
        with pytest.raises(NotWhole, match="n2 of shop does not answer, so that nobody knows whether it takes writes"):
            await first.require_role(is_primary=True)
    finally:
        await postgres_pair.replica.thaw()
    await postgres_pair.primary.freeze()
    try:
        with pytest.raises(NotWhole, match="n1 of shop does not answer"):
            await second.require_role(is_primary=False)
    finally:
        await postgres_pair.primary.thaw()
    await postgres_pair.primary.stop()
    async with await postgres_pair.replica.connect() as admin:
        await admin.execute("SELECT pg_promote()")
    with pytest.raises(NotWhole, match="n2 is the primary of shop now"):  # started in place, there would be two
        await first.require_role(is_primary=True)


async def test_what_a_file_had_is_put_back_without_a_restart_where_the_server_never_had_the_new_value(
    redis_server: RedisServer, lab_site: Site
) -> None:
    async with running(RedisServer("up-file", lab_site, program=redis_server.program)) as server:
        fleet = fleet_of({"n1": server}, commands({"n1": server}, has_files=True))
        ground, cluster = Ground.of(fleet, settings={"catch_up": "1s"}).upgrades, fleet.cluster("shop")
        member = Member(ground, cluster, fleet.instance("n1"), purpose="test")
        acts = FileSettings(ground, cluster, member, purpose="test")
        await member.host.keep_settings({"maxclients": "100"})
        async with ground.server(cluster, fleet.instance("n1"), purpose="test") as handle:
            before = replace(await handle.settings.state("tcp-backlog"), stored=None)
        change = {"name": "tcp-backlog", "value": "300", "stored": "300", "before": asdict(before), "needs_start": True}
        assert await acts.store([change]), "a restart is due"
        mark = await mark_of(ground, cluster, fleet.instance("n1"), purpose="test")

        await acts.put_back([change], None, restarts=True)

        assert await member.host.kept_settings() == {"maxclients": "100"}
        assert not await member.is_restarted_since(mark)
