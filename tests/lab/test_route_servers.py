"""What stands between clients and databases: started, found by its name, and gone with its owner."""

from collections.abc import Callable

import pytest

from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.lab.bind import BindServer, find_bind
from dbre.lab.haproxy import HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.processes import find_processes
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running

NOWHERE = Address("127.0.0.1", 1)


def pgbouncer(site: Site) -> LabServer:
    program = installed(lambda: find_pgbouncer(account=site.account))
    return PgBouncerServer("route-pool", site, program=program, databases={"shop": NOWHERE}, users={"app": Secret("x")})


def haproxy(site: Site) -> LabServer:
    program = installed(lambda: find_haproxy(account=site.account))
    return HaproxyServer("route-proxy", site, program=program, servers={"one": NOWHERE})


def bind(site: Site) -> LabServer:
    program = installed(lambda: find_bind(account=site.account))
    return BindServer("route-names", site, program=program, zone="lab.example")


@pytest.mark.parametrize(
    ("make", "name"), [(pgbouncer, "pgbouncer"), (haproxy, "haproxy"), (bind, "named")], ids=["pgbouncer", "haproxy", "bind"]
)
async def test_a_server_comes_back_on_its_port_and_leaves_nothing(
    make: Callable[[Site], LabServer], name: str, lab_site: Site
) -> None:
    server = make(lab_site)
    async with running(server):
        address = server.address
        assert {process.name for process in find_processes(server.directory)} >= {name}
        await server.kill()
        assert not server.is_running
        await server.start()
        assert (server.address, server.is_running) == (address, True)
        await server.stop()
        assert not find_processes(server.directory)
    assert not server.directory.exists()
