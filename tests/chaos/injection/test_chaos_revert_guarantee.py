"""However the runner of an experiment ends, every fault is gone afterwards, and seen to be; on real servers."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from injection_kit import (
    ENGINES,
    ballasts,
    fleet_with,
    has_no_injector,
    has_stopped_injector,
    is_over,
    order_on,
    record_of,
    runner,
    until,
)

from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.injection.model import Phase
from dbre.capabilities.chaos.injection.record import read_records
from dbre.core.clock import SystemClock
from dbre.lab.redis import RedisServer

ENDS = {
    signal.SIGKILL: "its runner is gone: the pipe is closed",
    signal.SIGTERM: "its runner is gone: the pipe is closed",
    signal.SIGSTOP: "its runner has not renewed the lease",
}


@pytest.mark.parametrize("number", list(ENDS), ids=lambda number: number.name)
async def test_faults_do_not_outlive_their_runner(victim: RedisServer, tmp_path: Path, number: signal.Signals) -> None:
    frozen = order_on(victim, "freeze", tmp_path / "state")
    full = order_on(victim, "disk-ballast", tmp_path / "state", directory=str(tmp_path), size="5MB", floor="1MB")
    async with runner(frozen, full) as process:
        assert victim.is_frozen
        assert ballasts(tmp_path)
        assert record_of(frozen).phase is Phase.ON
        process.send_signal(number)
        await until(lambda: not victim.is_frozen and not ballasts(tmp_path))
        for order in (frozen, full):
            await until(partial(is_over, order))
            assert ENDS[number] in record_of(order).why


async def test_a_fault_ends_at_its_own_deadline(victim: RedisServer, tmp_path: Path) -> None:
    order = order_on(victim, "freeze", tmp_path, seconds=0.5)
    async with runner(order):
        await until(lambda: record_of(order).phase is Phase.REVERTED)
    assert not victim.is_frozen
    assert record_of(order).why == "its time is over"


async def test_what_a_killed_injector_leaves_is_healed_by_its_state_file(victim: RedisServer, tmp_path: Path) -> None:
    frozen = order_on(victim, "freeze", tmp_path / "state")
    full = order_on(victim, "disk-ballast", tmp_path / "state", directory=str(tmp_path), size="5MB", floor="1MB")
    fleet, clock = fleet_with(victim), SystemClock()
    async with runner(frozen, full):
        held = await heal(tmp_path / "state", fleet, ENGINES, clock)
        assert [one.outcome for one in held] == ["held", "held"]
        for order in (frozen, full):
            os.kill(record_of(order).pid, signal.SIGKILL)
            await until(partial(has_no_injector, order))
        assert victim.is_frozen
        assert ballasts(tmp_path)
        healed = await heal(tmp_path / "state", fleet, ENGINES, clock)
    assert [one.outcome for one in healed] == ["reverted", "reverted"]
    assert not victim.is_frozen
    assert not ballasts(tmp_path)
    assert [one.phase for one in read_records(tmp_path / "state")] == [Phase.REVERTED, Phase.REVERTED]
    assert await heal(tmp_path / "state", fleet, ENGINES, clock) == []


async def test_a_stopped_injector_is_replaced_by_healing_and_no_secret_is_in_its_file(
    victim: RedisServer, tmp_path: Path
) -> None:
    order = order_on(victim, "freeze", tmp_path)
    async with runner(order):
        file = record_of(order).path(tmp_path)
        assert victim.password.reveal() not in file.read_text()
        assert victim.password.reveal() not in Path(f"/proc/{record_of(order).pid}/cmdline").read_text()
        assert file.stat().st_mode & 0o077 == 0
        os.kill(record_of(order).pid, signal.SIGSTOP)
        await until(partial(has_stopped_injector, order))
        (healed,) = await heal(tmp_path, fleet_with(victim), ENGINES, SystemClock())
    assert (healed.outcome, victim.is_frozen) == ("reverted", False)
