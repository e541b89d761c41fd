"""A primary whose disk is full, or that recovers from a crash, is not failed over, and it is said why."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, freeze_recovery
from ha_live import until

from dbre.capabilities.ha.detection.weighing import Weighing
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.capabilities.ha.verdict import Action
from dbre.core.programs.account import give
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.processes import send
from dbre.ports.session import Role
from dbre.ports.topology import Contact
from dbre.testing.fixtures import PostgresPair, leave_out

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
def shop(postgres_pair: PostgresPair, store: Store) -> Shop:
    return Shop(fleet=fleet_with_control("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica}), store=store)


@contextmanager
def small(server: PostgresServer, name: str, *, megabytes: int) -> Iterator[Path]:
    """A stopped server finds one directory of its data on a small file system of its own."""
    place = server.data_directory / name
    aside = place.with_name(f"{name}.aside")
    place.rename(aside)
    place.mkdir(mode=0o700)
    options = f"size={megabytes}m,mode=0700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=False, capture_output=True)
    if mounted.returncode:
        leave_out("a small file system needs the right to mount one")
    try:
        shutil.copytree(aside, place, dirs_exist_ok=True)
        for one in (place, *place.rglob("*")):
            give(one, server.site.account)
        shutil.rmtree(aside)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


async def fill(server: PostgresServer) -> str:
    """Write until the server does not let us; what it said."""
    try:
        async with await server.connect() as admin:
            await admin.execute("CREATE TABLE IF NOT EXISTS much (text text)")
            await admin.execute("ALTER TABLE much ALTER COLUMN text SET STORAGE EXTERNAL")
            while True:
                await admin.execute("INSERT INTO much SELECT repeat('x', 100000) FROM generate_series(1, 50)")
    except psycopg.Error as error:
        return str(error)


async def test_a_full_disk_of_data_is_an_error_of_statements_and_no_death(shop: Shop, postgres_pair: PostgresPair) -> None:
    primary = postgres_pair.primary
    await primary.stop()
    with small(primary, "base", megabytes=80):
        await primary.start()
        try:
            async with shop.observed():
                await shop.until_healthy()
                assert "No space left on device" in await fill(primary)
                assert primary.is_running
                for _ in range(10):
                    assert (await shop.weighed()).judgement.action is Action.NONE
                with pytest.raises(FailoverRefused, match="primary_silent: answered"):
                    await shop.plan(accept_loss=True)
        finally:
            await primary.kill()


async def test_a_full_disk_of_the_log_kills_the_server_and_is_mended_by_room_alone(
    shop: Shop, postgres_pair: PostgresPair
) -> None:
    primary = postgres_pair.primary
    await primary.stop()
    with small(primary, "pg_wal", megabytes=160) as place:
        ballast = place / "ballast"
        ballast.write_bytes(b"x" * 60_000_000)
        await primary.start()
        try:
            async with await primary.connect() as admin:
                await admin.execute("ALTER SYSTEM SET max_wal_size = '10GB'")
                await admin.execute("SELECT pg_reload_conf()")
            async with shop.observed():
                await shop.until_healthy()
                await fill(primary)
                await until(shop.weighed, lambda found: found.may_fail_over)  # every observer would have it promoted
                for automatic in (True, False):
                    with pytest.raises(FailoverRefused, match=r"room_on_disk: .* are free") as refused:
                        await shop.plan(automatic=automatic, accept_loss=not automatic)
                    assert "room_on_disk" in refused.value.context["rules"]
                assert await postgres_pair.replica.role() is Role.REPLICA
                ballast.unlink()
                await primary.start()
                found = await shop.until_healthy()
                assert found.primary == "n1"
        finally:
            await primary.kill()


async def test_a_server_that_recovers_from_a_crash_is_waited_for(shop: Shop, postgres_pair: PostgresPair) -> None:
    primary = postgres_pair.primary
    async with shop.observed():
        await shop.until_healthy()
        startup = await held_in_recovery(primary)
        try:
            starting = await until(shop.weighed, lambda found: Contact.STARTING in found.contacts.values())
            assert starting.judgement.action is Action.NONE
            end = time.monotonic() + 5
            while time.monotonic() < end:
                judged: Weighing = await shop.weighed()
                assert judged.judgement.action is Action.NONE, judged
                await asyncio.sleep(0.2)
            with pytest.raises(FailoverRefused, match="primary_silent: starting"):
                await shop.plan(accept_loss=True)
        finally:
            os.kill(startup, signal.SIGCONT)
        await shop.until_healthy()


async def held_in_recovery(server: PostgresServer) -> int:
    """Crash one backend, and freeze the process that recovers: clients are told that the server is in recovery mode."""
    async with await server.connect() as admin:
        await admin.execute("CREATE TABLE much AS SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) AS g")
    for _ in range(20):
        async with await server.connect() as victim:
            pid = victim.info.backend_pid
            send(next(one for one in server.processes() if one.pid == pid), signal.SIGKILL)
        found = await freeze_recovery(server.data_directory, seconds=20)
        if found is not None:
            return found
        await until(server.role, lambda role: role is Role.PRIMARY)  # it was quicker than we
    pytest.fail("the recovery was never seen")
