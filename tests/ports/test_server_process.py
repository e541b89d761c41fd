"""Whether a list of no processes proves anything: on the right machine, and by somebody from whom none is hidden."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dbre.core.control import Control, ControlKind
from dbre.core.errors import Unsupported
from dbre.core.fleet import Address, Instance
from dbre.core.packets.own_addresses import is_of_this_machine
from dbre.ports.server_process import ServerProcess
from dbre.ports.succession import NoControl, StopMode
from dbre.testing.fixtures import leave_out

ELSEWHERE = Address("192.0.2.7", 5432)  # RFC 5737: nobody's


def host_of(directory: Path, address: Address, **control: object) -> ServerProcess:
    given = {"kind": ControlKind.COMMANDS, "start": ("/bin/false",), "stop": ("/bin/false",), **control}
    instance = Instance(
        name="n1",
        cluster="shop",
        address=address,
        control=Control(data_directory=directory, **given),  # type: ignore[arg-type]
    )
    return ServerProcess(instance, product="Redis", programs=("redis-server",))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "/run/sockets"])
async def test_these_are_of_every_machine(host: str) -> None:
    assert await is_of_this_machine(Address(host, 1))


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "no-such-host.invalid"])
async def test_these_are_of_no_machine(host: str) -> None:
    assert not await is_of_this_machine(Address(host, 1))


async def test_nothing_runs_here_and_that_is_certain(tmp_path: Path) -> None:
    assert (await host_of(tmp_path, Address("127.0.0.1", 1)).state()).is_gone
    assert not (await host_of(tmp_path / "not-there", Address("127.0.0.1", 1)).state()).is_gone


async def test_the_same_path_of_another_machine_proves_nothing(tmp_path: Path) -> None:
    host = host_of(tmp_path, ELSEWHERE)
    assert not (await host.state()).is_gone
    for act in (
        host.stop(limit_seconds=5),
        host.stop(StopMode.AT_ONCE, limit_seconds=5),
        host.kill(limit_seconds=5),
        host.start(limit_seconds=5),
    ):
        with pytest.raises(NoControl, match="no address of this machine"):
            await act


async def test_commands_alone_may_reach_another_machine(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    host = host_of(tmp_path, ELSEWHERE, start=("/usr/bin/touch", str(mark)))
    far = replace(host.instance, control=replace(host.control, data_directory=None))
    starting = ServerProcess(far, product="Redis", programs=("redis-server",)).start(limit_seconds=0.1)
    await asyncio.gather(starting, return_exceptions=True)  # nobody answers there
    assert mark.exists()


def test_who_may_not_see_processes_knows_nothing_of_them(tmp_path: Path) -> None:
    """The directory is there for everybody, and the processes of its owner are hidden from others."""
    if os.geteuid() != 0:
        leave_out(Unsupported("another user's directory needs root", hint="run the tests as root"))
    host = host_of(Path("/root"), Address("127.0.0.1", 1))
    child = os.fork()
    if child == 0:
        os.setuid(65_534)
        os._exit(int(asyncio.run(host.state()).is_gone))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
