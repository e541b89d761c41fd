"""Labs whose servers have addresses of their own: made, opened again, apart in space, and gone whatever happens."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbre.core.errors import Unsupported, UsageError
from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import NAMED
from dbre.lab import Guardian, Lab, LabEngine, LabSpec
from dbre.lab.network.names import prefix_of
from dbre.lab.network.network import Network
from dbre.lab.place import remove
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

_ROUND_TRIP = 0.2
_OWNER = """
import asyncio, sys
from pathlib import Path
from dbre.lab import Guardian, Lab, LabEngine, LabSpec

async def main():
    spec = LabSpec(name="doomed", engine=LabEngine.REDIS, replicas=1, durable=False, sites=2, round_trip_seconds=0.02)
    await Lab.create(spec, Path(sys.argv[1]), guardian=Guardian())
    print("up", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _may_make_networks() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    try:
        command("ip", "link")
    except Unsupported as error:
        leave_out(error)


def left(directory: Path) -> list[str]:
    """What there is in the kernel by the name of a lab's directory, and processes that keep its lines."""
    prefix = prefix_of(directory)
    places = [place for place in (Path("/sys/class/net"), NAMED) if place.exists()]
    found = [one.name for place in places for one in place.iterdir() if one.name.startswith(prefix)]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"link_process" in words and os.fsencode(directory) in words:
            found.append(path.parent.name)
    return found


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def seconds(source: RedisServer, target: RedisServer) -> float:
    def connect() -> float:
        began = time.monotonic()
        socket.create_connection((target.address.host, target.address.port), timeout=60).close()
        return time.monotonic() - began

    return min(source.site.host.call(connect) for _ in range(3))


async def test_a_lab_of_two_sites_is_as_far_apart_as_was_asked_and_leaves_nothing(
    open_directory: Path, redis_server: object
) -> None:
    directory, guardian = open_directory / "far", Guardian()
    spec = LabSpec(name="far", engine=LabEngine.REDIS, replicas=2, durable=False, sites=2, round_trip_seconds=_ROUND_TRIP)
    try:
        lab = await Lab.create(spec, directory, guardian=guardian)
        here, there, also_here = (one for one in lab.servers if isinstance(one, RedisServer))
        assert len({one.address.host for one in lab.servers}) == 3
        assert seconds(here, there) >= _ROUND_TRIP
        assert seconds(there, here) >= _ROUND_TRIP
        assert seconds(here, also_here) < _ROUND_TRIP
        again = Lab.open("far", directory)
        assert [one.address for one in again.servers] == [one.address for one in lab.servers]
        assert again.servers[1].is_running
        await again.servers[1].kill()
        await again.servers[1].start()  # where it was before
        assert again.servers[1].address == there.address
        await lab.down()
    finally:
        guardian.close()
    assert until(lambda: not left(directory))


def test_the_network_of_a_killed_owner_goes_with_its_servers(open_directory: Path, redis_server: object) -> None:
    directory = open_directory / "doomed"
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, directory], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        assert len(left(directory)) == 6  # a bridge, two pairs of devices, two namespaces, a process
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    assert until(lambda: not left(directory) and not directory.exists())


async def test_networks_do_not_overlap_and_a_host_that_was_made_is_found_again(tmp_path: Path) -> None:
    first, second = Network.create(tmp_path), Network.create(tmp_path.parent)
    try:
        host = first.host("a")
        assert not first.subnet.overlaps(second.subnet)
        assert first.host("a") == host
        assert Network.open(tmp_path).hosts == {"a": host}
        assert host.is_free(5432)
        assert (
            command("ip", "-br", "address", "show", "eth0", namespace=first.namespace("a")).split()[2] == f"{host.address}/24"
        )
    finally:
        first.remove()
        second.remove()
        (tmp_path.parent / "network.json").unlink(missing_ok=True)
    assert not left(tmp_path)
    assert first.namespace("a").inode() is None


async def test_an_accounts_network_is_let_in_and_loopback_is_not(
    lab_site: Site, postgres18: PostgresServer, tmp_path: Path
) -> None:
    network = Network.create(lab_site.directory)
    try:
        server = PostgresServer("net-own", lab_site.at(network.host("own")), binaries=postgres18.binaries)
        async with running(server), await server.connect() as connection:
            cursor = await connection.execute("SELECT host(inet_client_addr()), current_setting('listen_addresses')")
            assert await cursor.fetchone() == (network.gateway, server.address.host)
    finally:
        network.remove()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sites": 3}, "3 sites are not possible with 2 servers"),
        ({"sites": 0}, "0 sites are not possible"),
        ({"round_trip_seconds": 0.02}, "needs two sites"),
        ({"sites": 2, "round_trip_seconds": 9.0}, "takes 0 to 5 s"),
        ({"observers": 2}, "on loopback all see the same"),
        ({"observers": 2, "network": True, "replicas": 0}, "no replica to fail over to"),
        ({"observers": 10, "network": True}, "0 to 9"),
    ],
    ids=["too many", "none", "no second", "too far", "blind observers", "nothing to observe", "too many observers"],
)
def test_networks_that_cannot_be_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LabSpec(**given)  # type: ignore[arg-type]


def test_the_network_of_a_directory_that_somebody_removed_goes_with_the_lab(tmp_path: Path) -> None:
    directory = tmp_path / "lost"
    directory.mkdir()
    Network.create(directory).host("a")
    shutil.rmtree(directory)
    assert len(left(directory)) == 3
    assert not remove(directory)  # there is no lab
    assert not left(directory)
