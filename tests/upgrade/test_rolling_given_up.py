"""A server whose programs could not be replaced serves again before anybody is told."""

import pytest
from pair_kit import commands

from dbre.capabilities.upgrade.restarting import Member
from dbre.core.errors import DbreError
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running
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
