"""Faults that cannot be taken back at once: tried again, healed one by one, and left alone by whoever says so."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from injection_kit import ENGINES, fleet_with, is_over, order_on, record_of, runner, until

from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import Record, RecordUnreadable, read_record
from dbre.core.clock import SystemClock
from dbre.lab.redis import RedisServer

LINES = "127.0.0.1 localhost\n"


def name_failure(victim: RedisServer, directory: Path, name: str) -> tuple[Order, Path]:
    hosts = directory / name / "hosts"
    hosts.parent.mkdir()
    hosts.write_text(LINES)
    return order_on(victim, "dns-failure", directory / name / "state", name="db.example.net", file=str(hosts)), hosts


def has_ended(record: Record) -> bool:
    return record.holder() is None


async def test_an_injector_tries_until_it_is_gone_or_somebody_deletes_its_state_file(
    victim: RedisServer, tmp_path: Path
) -> None:
    tried, hosts = name_failure(victim, tmp_path, "tried")
    left, others = name_failure(victim, tmp_path, "left")
    async with runner(tried, left) as process:
        records = [record_of(one) for one in (tried, left)]
        for one in (hosts, others):
            assert "dbre-chaos" in one.read_text()
            one.unlink()  # nothing can be taken out of it now
        process.kill()
    records[1].path(Path(left.directory)).unlink()
    await until(partial(has_ended, records[1]))
    assert not records[1].path(Path(left.directory)).exists()
    assert not has_ended(records[0]), "the one whose file is there goes on"
    hosts.write_text(f"192.0.2.1 db.example.net # dbre-chaos-{tried.id}\n{LINES}")
    await until(partial(is_over, tried))
    assert hosts.read_text() == LINES


async def test_a_state_file_that_cannot_be_read_keeps_no_other_from_being_healed(victim: RedisServer, tmp_path: Path) -> None:
    order = order_on(victim, "freeze", tmp_path)
    (tmp_path / "0000.fault.json").write_text("{")
    async with runner(order):
        record = read_record(tmp_path / f"{order.id}.fault.json")
        replace(record, id="0001", fault="unheard-of").write(tmp_path)
        os.kill(record.pid, signal.SIGKILL)
        await until(partial(has_ended, record))
        assert victim.is_frozen
        with pytest.raises(RecordUnreadable, match=r"0000\.fault\.json"):
            await heal(tmp_path, fleet_with(victim), ENGINES, SystemClock())
    assert not victim.is_frozen
    (tmp_path / "0000.fault.json").unlink()
    (stuck,) = await heal(tmp_path, fleet_with(victim), ENGINES, SystemClock())
    assert (stuck.outcome, stuck.record.id) == ("stuck", "0001")
    assert "'unheard-of' is not a fault" in stuck.detail
