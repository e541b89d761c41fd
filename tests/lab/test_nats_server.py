"""A throw-away NATS server is found by what removes the servers of those who were killed."""

from dbre.lab.destruction import destroy
from dbre.lab.nats import NatsServer, find_nats
from dbre.lab.processes import find_processes
from dbre.lab.site import Site
from dbre.testing.fixtures import installed


async def test_what_its_owner_can_no_longer_stop_is_found_and_removed(lab_site: Site) -> None:
    program = installed(lambda: find_nats(account=lab_site.account))
    server = NatsServer("nats-orphan", lab_site, program=program)
    await server.start()
    assert [process.name for process in find_processes(server.directory)] == ["nats-server"]
    assert destroy(server.directory)
    assert not find_processes(server.directory)
    assert not server.is_running
