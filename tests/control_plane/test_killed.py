"""SIGKILL of the control plane around an alert: no second page, none lost, and its end is told once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plane_kit import HoldingPager, answers, cluster, configuration, events, fired, metric, new_secret, resolved, until

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.demo.pager import Pager
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@asynccontextmanager
async def watching(
    directory: Path, server: PostgresServer, pager: Pager, *, port: int = 0
) -> AsyncIterator[ControlPlaneProcess]:
    """A control plane after its first good probes."""
    document = configuration([cluster(directory, server)], pager=pager, directory=directory, port=port)
    plane = ControlPlaneProcess(directory, document)
    await plane.start()
    try:
        await until(lambda: metric(plane, 'dbre_slo_good_total{cluster="orders",slo="writes"}'), what="good probes")
        yield plane
    finally:
        await plane.stop()


async def told_once(plane: ControlPlaneProcess, server: PostgresServer, pager: Pager) -> None:
    """After the fault: one page, one end of it, both of the same alert, in the store as at the receiver."""
    await until(lambda: fired(pager), what=f"a page; {plane.log_tail()}")
    await server.thaw()
    await until(lambda: resolved(pager), seconds=60, what=f"the end of the alert; {plane.log_tail()}")
    await asyncio.sleep(1.0)  # what is sent twice comes at once
    assert len(fired(pager)) == 1
    assert len(resolved(pager)) == 1
    assert len({one.data["alert_id"] for one in pager.deliveries}) == 1
    assert all(one.is_signed for one in pager.deliveries)
    assert {one["id"] for one in await events(plane, "slo.alert_fired")} == fired(pager)
    assert {one["id"] for one in await events(plane, "slo.alert_resolved")} == resolved(pager)


async def kill_and_start(plane: ControlPlaneProcess) -> None:
    assert await plane.stop(signal.SIGKILL) == -signal.SIGKILL
    await plane.start()


async def test_killed_when_the_page_was_just_delivered(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    with Pager(new_secret()) as pager:
        async with watching(tmp_path, fresh_postgres, pager) as plane:
            await fresh_postgres.freeze()
            await until(lambda: fired(pager), what=plane.log_tail())
            await kill_and_start(plane)
            await told_once(plane, fresh_postgres, pager)


async def test_killed_while_the_receiver_holds_the_page(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    with HoldingPager(new_secret()) as pager:
        async with watching(tmp_path, fresh_postgres, pager) as plane:
            await fresh_postgres.freeze()
            await until(lambda: fired(pager), what=plane.log_tail())
            assert await plane.stop(signal.SIGKILL) == -signal.SIGKILL
            pager.released.set()
            await plane.start()
            await until(lambda: len(pager.deliveries) >= 2, what="the page again, with the same id")
            await told_once(plane, fresh_postgres, pager)


async def test_killed_before_the_page_could_be_delivered(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    pager = Pager(new_secret(), port=choose_port())
    async with watching(tmp_path, fresh_postgres, pager, port=pager.port) as plane:
        await fresh_postgres.freeze()
        await until(lambda: events(plane, "slo.alert_fired"), what=plane.log_tail())
        assert await plane.stop(signal.SIGKILL) == -signal.SIGKILL
        with pager:
            await plane.start()
            await told_once(plane, fresh_postgres, pager)


@pytest.mark.soak
async def test_killed_again_and_again(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    with Pager(new_secret()) as pager:
        async with watching(tmp_path, fresh_postgres, pager) as plane:
            await fresh_postgres.freeze()
            for tenths in (3, 6, 9, 12):  # around the moment at which the alert fires, if it did not yet
                await asyncio.sleep(tenths / 10)
                await kill_and_start(plane)
            await told_once(plane, fresh_postgres, pager)


async def test_receiver_that_is_away_for_a_while_gets_each_page_once(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    pager = Pager(new_secret(), port=choose_port())
    failed = 'dbre_event_delivery_attempts_total{outcome="failed",subscription="webhook:pager"}'
    pending = 'dbre_event_deliveries{state="pending",subscription="webhook:pager"}'
    async with watching(tmp_path, fresh_postgres, pager, port=pager.port) as plane:
        await fresh_postgres.freeze()
        await until(lambda: metric(plane, failed), what="a failed attempt on /metrics")
        await until(lambda: metric(plane, pending), what="a pending delivery on /metrics")
        assert (ready := await answers(plane, "/readyz")) is not None
        assert ready.status_code == 200  # a receiver that is away is no reason to restart us
        with pager:
            await told_once(plane, fresh_postgres, pager)
            await until(lambda: _is_zero(plane, pending), what="nothing pending on /metrics")


async def _is_zero(plane: ControlPlaneProcess, name: str) -> bool:
    return await metric(plane, name) == 0
