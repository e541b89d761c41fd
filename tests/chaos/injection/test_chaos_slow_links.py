"""Slow and narrow lines between real servers in namespaces: on, seen, and gone however the injector or its runner ends."""

import os
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from chaos_network_kit import Networked, goes_through, held
from injection_kit import ENGINES, fleet_with, has_no_injector, has_stopped_injector, is_over, record_of, runner, until

from dbre.capabilities.chaos.injection.catalogue import fault_kind
from dbre.capabilities.chaos.injection.healing import heal
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address
from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import Namespace
from dbre.lab.network.links import LINKS, lines_between, start_links

_LONGEST = 60.0


def seconds(source: Namespace | None, target: Address) -> float:
    """How long a connection takes: the shortest of three."""

    def connect() -> float:
        began = time.monotonic()
        socket.create_connection((target.host, target.port), timeout=_LONGEST).close()
        return time.monotonic() - began

    return min(connect() if source is None else source.call(connect) for _ in range(3))


def ways(namespace: Namespace) -> str:
    """The rules and devices of a namespace."""
    return command("ip", "rule", namespace=namespace) + command("ip", "-br", "link", namespace=namespace)


async def test_only_what_goes_to_the_peers_is_late(networked: Networked, tmp_path: Path) -> None:
    usual = ways(networked.b)
    order = networked.order("delay", tmp_path, delay="300ms", jitter="20ms")
    async with held(order):
        assert seconds(networked.b, networked.primary.address) >= 0.28
        assert seconds(networked.a, networked.replica.address) >= 0.28
        assert seconds(None, networked.replica.address) < 0.28
        await networked.write()
        await networked.until_level()  # late, and not lost
        assert "through dbc" in record_of(order).detail
    assert ways(networked.b) == usual
    assert seconds(networked.b, networked.primary.address) < 0.28


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGSTOP, id="SIGSTOP", marks=pytest.mark.soak),  # as of a partition, which is always run
    ],
)
async def test_a_slow_line_does_not_outlive_its_runner(networked: Networked, tmp_path: Path, number: signal.Signals) -> None:
    usual = ways(networked.b)
    order = networked.order("delay", tmp_path, delay="100ms", loss="10", reorder="5")
    async with runner(order) as process:
        process.send_signal(number)
        await until(partial(is_over, order))
        assert ways(networked.b) == usual


async def test_a_killed_injector_takes_its_line_with_it_and_the_rules_are_healed(networked: Networked, tmp_path: Path) -> None:
    usual = ways(networked.b)
    order = networked.order("delay", tmp_path, delay="400ms")
    async with runner(order):
        os.kill(record_of(order).pid, signal.SIGKILL)
        await until(partial(has_no_injector, order))
        await until(lambda: "dbc" not in command("ip", "-br", "link", namespace=networked.b))
        assert seconds(networked.b, networked.primary.address) < 0.4  # nobody has healed yet
        (healed,) = await heal(tmp_path, fleet_with(networked.replica), ENGINES, SystemClock())
    assert (healed.outcome, ways(networked.b)) == ("reverted", usual)


async def test_a_stopped_injector_holds_all_packets_until_it_is_healed(networked: Networked, tmp_path: Path) -> None:
    order = networked.order("delay", tmp_path, delay="10ms")
    async with runner(order):
        os.kill(record_of(order).pid, signal.SIGSTOP)
        await until(partial(has_stopped_injector, order))
        assert goes_through(networked.b, networked.primary.address) == "silence"
        (healed,) = await heal(tmp_path, fleet_with(networked.replica), ENGINES, SystemClock())
    assert healed.outcome == "reverted"
    assert goes_through(networked.b, networked.primary.address) == "yes"


async def test_a_narrow_line_carries_so_many_bytes_a_second(networked: Networked, tmp_path: Path) -> None:
    size, rate = 300_000, 200_000
    order = networked.order("bandwidth", tmp_path, rate=f"{rate}B")

    def receive(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(1 << 16):
                pass

    def send(target: tuple[str, int]) -> float:
        began = time.monotonic()
        with socket.create_connection(target, timeout=_LONGEST) as connection:
            connection.sendall(b"x" * size)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        return time.monotonic() - began

    with networked.a.call(lambda: socket.create_server((networked.primary.address.host, 0))) as listening:
        async with held(order):
            receiving = threading.Thread(target=receive, args=(listening,))
            receiving.start()
            took = networked.b.call(partial(send, listening.getsockname()))
            receiving.join()
    assert took >= 0.9 * size / rate


async def test_where_the_kernel_would_drop_the_answers_nothing_is_begun(networked: Networked, tmp_path: Path) -> None:
    setting = Path("/proc/sys/net/ipv4/conf/eth0/rp_filter")
    networked.b.call(lambda: setting.write_text("1"))
    try:
        order = networked.order("delay", tmp_path, delay="1ms")
        with pytest.raises(PrecheckFailed, match="rp_filter of eth0 is 1"):
            await fault_kind("delay").make(order.scene(ENGINES)).prepare()
    finally:
        networked.b.call(lambda: setting.write_text("0"))


@pytest.mark.soak
async def test_a_fault_adds_to_the_distance_between_sites(networked: Networked, tmp_path: Path) -> None:
    directory = networked.network.directory
    sites = {one: {str(host.namespace): host.address} for one, host in networked.network.hosts.items()}
    start_links(directory, lines_between(directory, sites, round_trip_seconds=0.2))
    try:
        assert seconds(networked.b, networked.primary.address) >= 0.2
        async with held(networked.order("delay", tmp_path, delay="100ms")):
            assert seconds(networked.b, networked.primary.address) >= 0.3
    finally:
        (directory / LINKS).unlink()
    await until(lambda: "2001:" not in ways(networked.b) + ways(networked.a))
    assert seconds(networked.b, networked.primary.address) < 0.2
