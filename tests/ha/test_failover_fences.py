"""Rungs against real servers: what holds, what is only claimed, and what is taken back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from failover_kit import CLOCK, control_of

from dbre.capabilities.ha.fencing.config_document import CommandFence, ControlFence, NetworkFence
from dbre.capabilities.ha.fencing.ladder import acted_of, climb, standing
from dbre.capabilities.ha.fencing.rung import Act, FenceFailed
from dbre.capabilities.ha.fencing.rungs import CommandRung, ControlRung, NetworkRung
from dbre.core.errors import DbreError, Unsupported
from dbre.core.fleet import Address, Instance
from dbre.core.programs.account import Account
from dbre.engines.redis import RedisEngine
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running
from dbre.tools.nft_fence import NftFence


@pytest.fixture
async def server(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisServer]:
    async with running(RedisServer("fenced", lab_site, program=redis_server.program)) as one:
        yield one


def instance(server: RedisServer) -> Instance:
    return Instance(name="n1", cluster="shop", address=server.address, control=control_of(server))


async def answers(server: RedisServer) -> bool:
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
            writer.write(b"PING\r\n")
            line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return bool(line)  # also "NOAUTH": it lives


async def quiet(_: str) -> None: ...


async def test_processes_are_gone_before_it_counts(server: RedisServer) -> None:
    rung = ControlRung(ControlFence(), RedisEngine().host(instance(server)))
    assert not (await rung.confirm()).is_fenced
    await server.freeze()
    fenced = await climb([rung], subject="n1", clock=CLOCK, note=quiet)
    assert (fenced.rung, fenced.is_ours, fenced.seen) == ("control", True, "no process is left")
    assert "frozen" in fenced.done
    assert server.processes() == []
    again = await climb([rung], subject="n1", clock=CLOCK, note=quiet)
    assert (again.is_ours, again.done) == (False, "no process was there")


async def test_packets_are_dropped_and_let_through_again(server: RedisServer) -> None:
    if os.geteuid() != 0 or shutil.which("nft", path="/usr/sbin:/usr/bin") is None:
        leave_out(Unsupported("rules of nftables need root and nft", hint="apt install nftables, and run the tests as root"))
    name = f"test{os.getpid()}"
    rung = NetworkRung(NetworkFence(kind="network"), instance(server), fence_id=name)
    fence = NftFence(server.address, name=name)
    try:
        assert await fence.is_here()
        assert not (await rung.confirm()).is_fenced
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        fenced = await climb([rung], subject="n1", clock=CLOCK, note=quiet)
        assert fenced.rung == "network"
        assert not await answers(server)
        writer.write(b"PING\r\n")  # who was there before is cut off as well
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 1.0)
        await rung.fence()  # again: nothing more happens
        await rung.release()
        assert await asyncio.wait_for(reader.readline(), 60.0)
        assert await answers(server)
        assert not await fence.is_cut()
        writer.close()
    finally:
        await fence.lift()


async def test_a_command_that_ends_well_proves_nothing(server: RedisServer, tmp_path: Path) -> None:
    mark = tmp_path / "off-n1"
    ourselves = Account(name="", uid=os.geteuid(), gid=os.getegid(), switch=False)
    settings = CommandFence.model_validate(
        {
            "kind": "command",
            "fence": ["/usr/bin/touch", f"{tmp_path}/off-{{instance}}"],
            "confirm": ["/usr/bin/test", "-e", f"{tmp_path}/gone-{{port}}"],
            "release": ["/usr/bin/rm", f"{tmp_path}/off-{{instance}}"],
            "limit": "1s",
        }
    )
    rung = CommandRung(settings, instance(server), ourselves, CLOCK)
    with pytest.raises(FenceFailed, match="n1 could not be fenced") as failed:
        await climb([rung], subject="n1", clock=CLOCK, note=quiet)
    assert not mark.exists()  # half a fence is taken back
    assert "command" in str(failed.value.context["tried"])
    (tmp_path / f"gone-{server.address.port}").touch()
    fenced = await climb([rung], subject="n1", clock=CLOCK, note=quiet)
    assert (fenced.seen, mark.exists()) == ("/usr/bin/test says that it is off", True)


async def test_what_a_rung_did_that_did_not_hold_is_taken_back_as_well(server: RedisServer, tmp_path: Path) -> None:
    mark, ourselves = tmp_path / "off", Account(name="", uid=os.geteuid(), gid=os.getegid(), switch=False)
    settings = CommandFence.model_validate(
        {"kind": "command", "fence": ["/usr/bin/touch", str(mark)], "confirm": ["/usr/bin/false"], "limit": "1s"}
    )
    claims = CommandRung(settings, instance(server), ourselves, CLOCK)
    holds = ControlRung(ControlFence(), RedisEngine().host(instance(server)))
    fenced = await climb([claims, holds], subject="n1", clock=CLOCK, note=quiet)
    assert (fenced.rung, mark.exists()) == ("control", True)
    assert acted_of(fenced.as_document()) == ("command", "control")
    again = await climb([holds], subject="n1", clock=CLOCK, note=quiet)
    assert acted_of(again.as_document()) == ()


async def test_other_addresses_of_the_machine_are_cut_off_too() -> None:
    if os.geteuid() != 0 or shutil.which("nft", path="/usr/sbin:/usr/bin") is None:
        leave_out(Unsupported("rules of nftables need root and nft", hint="apt install nftables, and run the tests as root"))
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0)
    port = listener.sockets[0].getsockname()[1]
    fence = NftFence(Address("127.0.0.1", port), name=f"wide{os.getpid()}")
    try:
        (await asyncio.open_connection("127.0.0.2", port))[1].close()
        await fence.cut()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("127.0.0.2", port), 1.0)
    finally:
        await fence.lift()
        listener.close()


async def test_who_starts_servers_again_by_itself_is_left_to_it(server: RedisServer) -> None:
    """In a cluster of Patroni or Sentinels another one may be primary by then."""
    rung = ControlRung(ControlFence(), RedisEngine().host(instance(server)), starts_again=False)
    await server.freeze()
    assert (await climb([rung], subject="n1", clock=CLOCK, note=quiet)).is_ours
    assert await rung.release() is None
    assert server.processes() == []


class Broken(ControlRung):
    """Does what it should, and cannot tell: as where the machine is lost from sight in the middle of it."""

    name = "broken"

    async def _stop(self) -> Act:
        await super()._stop()
        raise DbreError("lost from sight")


async def test_a_rung_that_raises_half_way_is_taken_back_or_told(server: RedisServer) -> None:
    host = RedisEngine().host(instance(server))
    other = ControlRung(ControlFence(), host)
    assert await standing([Broken(ControlFence(), host), other]) == {"broken": True, "control": True}
    broken = Broken(ControlFence(), host, starts_again=False)
    with pytest.raises(FenceFailed, match="broken stays as it is, and a person takes it back"):
        await climb([broken], subject="n1", clock=CLOCK, note=quiet)
    assert server.processes() == []
    with pytest.raises(FenceFailed) as failed:
        await climb([Broken(ControlFence(), host)], subject="n1", clock=CLOCK, note=quiet, before={"broken": True})
    assert "broken could not be taken back: " in str(failed.value.context["left"])  # its start command is /bin/false
    fenced = await climb([broken, other], subject="n1", clock=CLOCK, note=quiet, before={"broken": True, "control": True})
    assert (fenced.rung, fenced.is_ours, fenced.acted) == ("control", True, ("broken", "control"))


async def test_who_was_only_about_to_be_stopped_is_left_alone(server: RedisServer) -> None:
    before = server.processes()
    rung = ControlRung(ControlFence(), RedisEngine().host(instance(server)))
    assert await rung.release() == "it was not stopped"
    assert server.processes() == before
