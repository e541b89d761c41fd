"""A throw-away RabbitMQ does what a real one does when it is stopped, killed, frozen and started again."""

import asyncio
from pathlib import Path

import pytest

from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.celery_dispatch.publisher import check_broker
from dbre.core.programs.errors import BinariesMissing
from dbre.core.secrets import Secret
from dbre.lab.rabbitmq import RabbitMqServer, find_rabbitmq
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import installed, running


async def problem(server: RabbitMqServer, password: Secret | None = None) -> str | None:
    document = BrokerDocument(url=server.url, timeout="2s")
    return await asyncio.to_thread(check_broker, document, password or server.password)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_it_comes_back_after_each_kind_of_end_and_leaves_nothing(lab_site: Site) -> None:
    program = installed(lambda: find_rabbitmq(account=lab_site.account))
    async with running(RabbitMqServer("rabbit-life", lab_site, program=program)) as server:
        assert await server.role() is Role.PRIMARY
        assert await problem(server) is None
        assert server.password.reveal() not in server.url
        assert "ACCESS_REFUSED" in str(await problem(server, Secret("wrong")))
        commands = {process.pid for process in server.processes()}
        assert server.pid in commands
        await server.freeze()
        assert await problem(server) is not None
        await server.thaw()
        assert await problem(server) is None
        for end in (server.stop, server.kill):
            port = server.address.port
            await end()
            assert not server.is_running
            assert await problem(server) is not None
            await server.start()
            assert server.address.port == port
            assert await problem(server) is None
        directory = server.data_directory
    assert not directory.exists()


def test_a_missing_broker_is_told_with_the_package(lab_site: Site, tmp_path: Path) -> None:
    with pytest.raises(BinariesMissing, match="no rabbitmq-server in") as missing:
        find_rabbitmq(account=lab_site.account, home=tmp_path)
    assert "apt: rabbitmq-server" in str(missing.value.hint)


def test_a_broker_that_is_too_old_is_told(lab_site: Site, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rabbitmq-server").touch()
    (tmp_path / "lib/rabbitmq_server-3.7.28").mkdir(parents=True)
    with pytest.raises(BinariesMissing, match=r"version 3\.7\.28; the oldest that works is 3\.8"):
        find_rabbitmq(account=lab_site.account, home=tmp_path)
