"""The same operation takes backups of every engine that can be copied; nothing in it names one."""

import shutil
import tempfile
from pathlib import Path

import pytest
from taking_kit import Settings, settings_in, where_is, world_of

from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.reading_back import read_back
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.lab.site import Site


def world_for(server: LabServer, site: Site, *, engine: str, database: str) -> Settings:
    directory = Path(tempfile.mkdtemp(prefix="engines-", dir=site.directory))
    directory.chmod(0o711)
    return settings_in(directory, site.cache, where_is(server, engine=engine, database=database))


@pytest.mark.parametrize("engine", ["mysql", "redis"])
async def test_a_sealed_set_comes_of_it_and_can_be_read_back(
    engine: str, mariadb: MariaDbServer, redis_server: RedisServer, lab_site: Site
) -> None:
    settings = (
        world_for(mariadb, lab_site, engine="mysql", database="mysql")
        if engine == "mysql"
        else world_for(redis_server, lab_site, engine="redis", database="0")
    )
    try:
        async with world_of(settings) as world:
            record = await world.run("backup.take", cluster="orders")
            assert record.state == "succeeded", record.error
            one = await world.newest()
            assert one.state is SetState.SEALED
            assert one.engine == engine
            assert (await read_back(world.ground, one, "near")).is_good
    finally:
        shutil.rmtree(settings.directory, ignore_errors=True)
