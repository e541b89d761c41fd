"""What else is found where a primary comes back: no room for the copy, a slot whose log is gone."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rejoin_kit import Rejoiner, caught_up, diverge, entries, forkable, ground_of, receives, results, run

from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.site import Site

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

_ROOM = 4 << 20


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@contextmanager
def disk_of_its_own(site: Site, name: str, size: str) -> Iterator[Path]:
    """A directory for servers, on a file system of that size."""
    directory = site.directory / name
    directory.mkdir(mode=0o700)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "dbre-rejoin", directory], check=False)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    os.chown(directory, site.account.uid, site.account.gid)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


async def test_no_room_for_the_copy_leaves_the_primary_as_it_was(lab_site: Site, store: Store, tmp_path: Path) -> None:
    with disk_of_its_own(lab_site, "small", "400m") as directory:
        async with forkable(lab_site, "room", old_site=replace(lab_site, directory=directory)) as pair:
            old, new = pair.primary, pair.replica
            await diverge(old, new)
            free = os.statvfs(directory)
            ballast = directory / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - _ROOM)
            rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")
            record = await rejoiner.rejoin(clone=True)
            assert record.state is not OperationState.SUCCEEDED
            assert record.error is not None
            assert "No space left on device" in record.error["message"]
            assert not old.processes()
            assert await run(new, "SELECT count(*) FROM pg_replication_slots") == [(0,)]  # it keeps its log for nobody
            left = os.statvfs(directory)
            assert left.f_bavail * left.f_frsize >= _ROOM // 2  # half a copy was taken away

            ballast.unlink()
            await run(new, "INSERT INTO ledger VALUES ('later')")
            again = await rejoiner.rejoin()
            assert again.state is OperationState.SUCCEEDED, again.error
            assert results(again)["align"]["way"] == "clone"  # nothing of what is there is trusted
            await receives(old, 2)
            await caught_up(new, old)
            assert await entries(old) == ["after", "before", "later"]


async def test_a_slot_whose_log_is_gone_is_made_anew(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "slot", max_wal_size="32MB", min_wal_size="32MB") as pair:
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")
        (prepare, *_) = (await rejoiner.plan()).steps
        slot = prepare.input["slot"]
        await run(new, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
        await run(new, f"SELECT pg_create_physical_replication_slot('{slot}', true)")
        end = time.monotonic() + 120
        while await run(new, "SELECT wal_status FROM pg_replication_slots") != [("lost",)]:
            assert time.monotonic() < end
            await run(new, "SELECT pg_switch_wal()", "INSERT INTO ledger VALUES ('x')", "CHECKPOINT")
        await run(new, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
        record = await rejoiner.rejoin(clone=True)
        assert record.state is OperationState.SUCCEEDED, record.error
        await receives(old, 2)
        assert await run(new, "SELECT slot_name, wal_status <> 'lost', active FROM pg_replication_slots") == [
            (slot, True, True)
        ]
