"""Partitions between real servers in namespaces: what is cut, what is not, and that nothing of it stays."""

import asyncio
import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chaos_network_kit import Networked, datagrams, goes_through, held, tables
from injection_kit import (
    ENGINES,
    INJECTOR,
    PATIENCE,
    fleet_with,
    has_no_injector,
    is_over,
    order_on,
    record_of,
    runner,
    until,
)

from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.injection.model import Phase
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.core.clock import SystemClock
from dbre.lab.redis import RedisServer

_SENT = 3000
_BOTH_WAYS = {"a to b": "silence", "b to a": "silence", "us to b": "yes"}
CUTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "full": ({}, _BOTH_WAYS),
    "rejected": ({"action": "reject"}, {"a to b": "refused", "b to a": "refused", "us to b": "yes"}),
    "from everyone": ({"peers": "everyone"}, {"a to b": "silence", "b to a": "silence", "us to b": "silence"}),
    "another port of one and all of others": (
        {"ports": "9", "peers": "first,203.0.113.0/24"},
        {"a to b": "yes", "b to a": "yes", "us to b": "yes"},
    ),
}


async def seen(pair: Networked) -> dict[str, str]:
    ways = {
        "a to b": (pair.a, pair.replica.address),
        "b to a": (pair.b, pair.primary.address),
        "us to b": (None, pair.replica.address),
    }
    answers = await asyncio.gather(*(asyncio.to_thread(goes_through, *way) for way in ways.values()))
    return dict(zip(ways, answers, strict=True))


@pytest.mark.parametrize("name", list(CUTS))
async def test_only_what_is_named_is_cut(networked: Networked, tmp_path: Path, name: str) -> None:
    parameters, expected = CUTS[name]
    order = networked.order("partition", tmp_path, **parameters)
    async with held(order):
        assert await seen(networked) == expected
        assert f"table inet dbre_chaos_{order.id} " in tables(networked.b)
    assert tables(networked.b) == ""
    assert set((await seen(networked)).values()) == {"yes"}


@pytest.mark.parametrize(  # that no fault outlives its runner is shown for all three by test_chaos_revert_guarantee.py
    "number",
    [signal.SIGKILL, *(pytest.param(one, marks=pytest.mark.soak) for one in (signal.SIGTERM, signal.SIGSTOP))],
    ids=["SIGKILL", "SIGTERM", "SIGSTOP"],
)
async def test_replication_stops_and_comes_back_however_the_runner_ends(
    networked: Networked, tmp_path: Path, number: signal.Signals
) -> None:
    await networked.until_level()
    order = networked.order("partition", tmp_path)
    async with runner(order) as process:
        await networked.write()
        await asyncio.sleep(1.0)
        assert await networked.is_behind()
        assert "reached" not in record_of(order).detail
        process.send_signal(number)
        await until(partial(is_over, order))
        assert tables(networked.b) == ""
        assert "1 of 1 reached again" in record_of(order).detail
        await networked.until_level()


async def test_what_a_killed_injector_leaves_is_found_by_its_namespace(networked: Networked, tmp_path: Path) -> None:
    order = networked.order("partition", tmp_path)
    async with runner(order):
        os.kill(record_of(order).pid, signal.SIGKILL)
        await until(partial(has_no_injector, order))
        assert goes_through(networked.b, networked.primary.address) == "silence"
        (healed,) = await heal(tmp_path, fleet_with(networked.replica), ENGINES, SystemClock())
    assert (healed.outcome, tables(networked.b)) == ("reverted", "")
    assert goes_through(networked.b, networked.primary.address) == "yes"


@pytest.mark.parametrize(
    ("parameters", "share"),
    [
        ({"direction": "in"}, {"in": 0.0, "out": 1.0}),
        pytest.param({"direction": "out"}, {"in": 1.0, "out": 0.0}, marks=pytest.mark.soak),
        ({"loss": 30}, {"in": 0.7}),
    ],
    ids=["incoming", "outgoing", "30 percent"],
)
async def test_packets_of_a_direction_or_a_share_of_them_are_lost(
    networked: Networked, tmp_path: Path, parameters: dict[str, Any], share: dict[str, float]
) -> None:
    a, b = (networked.a, networked.primary.address.host), (networked.b, networked.replica.address.host)
    async with held(networked.order("partition", tmp_path, **parameters)):
        for direction, expected in share.items():
            source, target = (a, b) if direction == "in" else (b, a)
            arrived = await asyncio.to_thread(datagrams, source[0], *target, count=_SENT)
            assert abs(arrived - expected * _SENT) <= 6 * (_SENT * expected * (1 - expected)) ** 0.5


async def test_on_a_shared_address_the_port_of_the_server_is_cut_and_nothing_else(victim: RedisServer, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes rules about packets")
    order = order_on(victim, "partition", tmp_path, peers="everyone")
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with runner(order) as process:
            assert goes_through(None, victim.address) == "silence"
            with socket.create_connection(other.getsockname(), timeout=5):
                pass
            process.kill()
            await until(lambda: record_of(order).phase is Phase.REVERTED)
            assert goes_through(None, victim.address) == "yes"


@pytest.fixture
def slow_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel is told late; gives a file that is there as soon as somebody begins to tell it."""
    real, slow, begun = shutil.which("nft"), tmp_path / "bin" / "nft", tmp_path / "begun"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nif [ "$1" = -f ]; then touch {begun}; sleep 1.5; fi\nexec {real} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    return begun


async def test_rules_that_come_late_do_not_stay(networked: Networked, tmp_path: Path, slow_nft: Path) -> None:
    """The end comes while the kernel is being told: what a thread goes on doing is waited for, and taken back."""
    order = networked.order("partition", tmp_path / "state")
    injection = await Injection.start(INJECTOR, order)
    await until(slow_nft.exists)
    await injection.end(limit_seconds=PATIENCE)
    record = record_of(order)
    assert "given up before it was on" in record.detail
    await until(partial(has_no_injector, order))
    assert tables(networked.b) == ""


async def test_nothing_of_a_killed_injector_goes_on(networked: Networked, tmp_path: Path, slow_nft: Path) -> None:
    order = networked.order("partition", tmp_path / "state")
    injection = await Injection.start(INJECTOR, order)
    await until(slow_nft.exists)
    (healed,) = await heal(tmp_path / "state", fleet_with(networked.replica), ENGINES, SystemClock(), force=True)
    assert healed.outcome == "reverted"
    await asyncio.sleep(2.0)  # by now it would have come
    assert tables(networked.b) == ""
    await injection.kill()
