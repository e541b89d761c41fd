"""Faults of processes reach servers in network namespaces, and what they start again is where it was."""

from pathlib import Path

from chaos_network_kit import Networked, goes_through, held
from injection_kit import until


async def test_a_crashed_server_comes_back_in_its_namespace(networked: Networked, tmp_path: Path) -> None:
    server = networked.replica
    order = networked.order("crash", tmp_path, seconds=2.0, restart="same")
    async with held(order):
        await until(lambda: not server.is_running)  # our child: its end is to be noted before another one takes its place
        await until(lambda: goes_through(networked.a, server.address) == "yes")
    await networked.until_level()


async def test_a_frozen_server_is_found_in_its_namespace(networked: Networked, tmp_path: Path) -> None:
    async with held(networked.order("freeze", tmp_path)):
        assert networked.replica.is_frozen
    assert not networked.replica.is_frozen
