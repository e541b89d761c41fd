"""An old MariaDB primary that has what nobody else has is copied anew from the new one; and what keeps it from that."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from commanded_mariadb_kit import mariadb_fleet
from kill_kit import Failpoints, die_in
from rejoin_kit import Rejoiner, results
from switchover_kit import ground_of as switchover_ground_of
from switchover_kit import until
from test_rejoin_damage import disk_of_its_own
from test_rejoin_pairs import has, rows_of, take_over
from test_switchover_pairs import execute

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Fleet
from dbre.core.operation.states import OperationState
from dbre.core.programs.processes import serving
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.backup.model import Place
from dbre.testing.fixtures import running

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 's.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=SystemClock(), exclusive=False, migrate=True) as opened:
        yield opened


def rejoiner_of(store: Store, servers: Mapping[str, MariaDbServer], site: Site, directory: Path, lease: str) -> Rejoiner:
    ground = RejoinGround(
        servers=switchover_ground_of(mariadb_fleet(servers)),
        directory=directory / "lost",
        find_place=lambda: Place(account=site.account, cache=site.cache),
    )
    return Rejoiner(store=store, ground=ground, lease=lease)


@asynccontextmanager
async def forked(
    mariadb: MariaDbServer, site: Site, name: str, *, old_site: Site | None = None
) -> AsyncIterator[tuple[MariaDbServer, MariaDbServer]]:
    """Each of them has what the other has not."""
    async with (
        running(MariaDbServer(f"{name}1", old_site or site, program=mariadb.program)) as old,
        running(MariaDbServer(f"{name}2", site, program=mariadb.program, replica_of=old)) as new,
    ):
        await execute(old, "CREATE TABLE lab.ledger (entry VARCHAR(20))", "INSERT INTO lab.ledger VALUES ('before')")
        await until(lambda: has(new, "before"))
        await take_over(new)
        await execute(new, "INSERT INTO lab.ledger VALUES ('after')")
        await execute(old, "INSERT INTO lab.ledger VALUES ('lost')")
        yield old, new


def settings_of(server: MariaDbServer) -> str:
    return server.settings_file.read_text()


def copying(server: MariaDbServer) -> list[int]:
    data = server.data_directory.resolve()
    work = data.parent / f".{data.name}.dbre-rejoin"
    return [one.pid for one in serving(work, lambda _, name: name == "mariadb-backup")] if work.is_dir() else []


async def seen(look: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not await asyncio.to_thread(look):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_what_diverged_is_copied_where_that_is_asked_for(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forked(mariadb, lab_site, "rj-c") as (old, new):
        walker = rejoiner_of(store, {"n1": old, "n2": new}, lab_site, tmp_path, "60s")
        with pytest.raises(PrecheckFailed, match="n1 has what n2 does not"):
            await walker.plan("n1")
        with pytest.raises(PrecheckFailed, match=r"transactions? 3; no file of it can be written") as refusal:
            await walker.plan("n1", clone=True)
        assert "--without-evidence" in str(refusal.value.hint)
        plan = await walker.plan("n1", clone=True, without_evidence=True)
        assert [one.name for one in plan.steps] == ["stop", "align", "start", "settle"]
        assert "what only n1 committed goes, and no file of it is written" in plan.warnings

        record = await walker.rejoin("n1", clone=True, without_evidence=True)
        assert record.state is OperationState.SUCCEEDED, record.error
        found = results(record)["align"]
        assert found["way"] == "clone"
        assert found["position"]
        await execute(new, "INSERT INTO lab.ledger VALUES ('later')")
        await until(lambda: has(old, "later"))
        assert await rows_of(old) == ["after", "before", "later"]
        assert "read_only" not in settings_of(old)  # it is again as it was
        assert not list(old.data_directory.resolve().parent.glob(".*.dbre-rejoin"))
        ((is_read_only,),) = await execute(old, "SELECT @@GLOBAL.read_only")
        assert is_read_only == 1
        with pytest.raises(PrecheckFailed, match="n1 follows n2 already"):
            await walker.plan("n1")


async def test_a_replica_is_copied_where_the_files_of_the_primary_cannot_be_read(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        forked(mariadb, lab_site, "rj-t") as (old, new),
        running(MariaDbServer("rj-t3", lab_site, program=mariadb.program, replica_of=new)) as third,
    ):
        await until(lambda: has(third, "after"))
        (new.data_directory / "ibdata1").chmod(0)
        walker = rejoiner_of(store, {"n1": old, "n2": new, "n3": third}, lab_site, tmp_path, "60s")
        plan = await walker.plan("n1", clone=True, without_evidence=True)
        assert any("copy the data of n3 anew" in one.summary for one in plan.steps)
        assert "n3 is read from, all of it" in plan.blast_radius
        record = await walker.rejoin("n1", clone=True, without_evidence=True)
        assert record.state is OperationState.SUCCEEDED, record.error
        await execute(new, "INSERT INTO lab.ledger VALUES ('later')")
        await until(lambda: has(old, "later"))
        assert await rows_of(old) == ["after", "before", "later"]

        await execute(third, "SET GLOBAL read_only = OFF", "INSERT INTO lab.ledger VALUES ('own')", "SET GLOBAL read_only = ON")
        with pytest.raises(PrecheckFailed, match="may not read the server's files"):  # n3 has what n2 has not: it is no source
            await walker.plan("n1", clone=True, without_evidence=True)


async def test_a_copy_that_dies_leaves_the_former_data_and_the_next_one_is_made(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forked(mariadb, lab_site, "rj-d") as (old, new):
        walker = rejoiner_of(store, {"n1": old, "n2": new}, lab_site, tmp_path, "60s")
        directory = old.directory / "bin"
        directory.mkdir(mode=0o755)
        real, program = shutil.which("mariadb-backup"), directory / "mariadb-backup"
        program.write_text(f'#!/bin/sh\nulimit -f 1024\nexec {real} "$@"\n')  # the kernel ends it while it copies
        program.chmod(0o755)
        record = await with_programs(walker, directory).rejoin("n1", clone=True, without_evidence=True)
        assert record.state is not OperationState.SUCCEEDED
        assert "n1 could not be copied anew" in str(record.error)
        assert (old.data_directory / "ibdata1").is_file()
        assert "read_only = ON" in settings_of(old)  # whoever starts it makes no second primary of it
        assert not old.processes()

        with pytest.raises(PrecheckFailed, match="n1 does not answer") as refusal:
            await walker.plan("n1")
        assert "--clone" in str(refusal.value.hint)
        again = await walker.rejoin("n1", clone=True, without_evidence=True)
        assert again.state is OperationState.SUCCEEDED, again.error
        await until(lambda: has(old, "after"))
        assert await rows_of(old) == ["after", "before"]


@pytest.mark.parametrize("number", range(2, 16, 2))
async def test_a_runner_that_is_killed_is_followed_by_one_that_ends_it(
    mariadb: MariaDbServer, lab_site: Site, store: Store, url: str, tmp_path: Path, number: int
) -> None:
    async with forked(mariadb, lab_site, f"rj-k{number}-") as (old, new):
        walker = rejoiner_of(store, {"n1": old, "n2": new}, lab_site, tmp_path, "5s")
        operation = await walker.submit("n1", clone=True, without_evidence=True)

        async def until_killed(opened: Store) -> object:
            return await Rejoiner(store=opened, ground=walker.ground, lease="5s").run(operation, hooks=Failpoints(number))

        die_in(url, until_killed)
        record = await walker.run(operation)
        assert record.state is OperationState.SUCCEEDED, (number, record.error)
        await until(lambda: has(old, "after"))
        assert await rows_of(old) == ["after", "before"]
        assert "read_only" not in settings_of(old)


async def test_a_runner_that_is_killed_while_it_copies_leaves_nobody_at_work(
    mariadb: MariaDbServer, lab_site: Site, store: Store, url: str, tmp_path: Path
) -> None:
    async with forked(mariadb, lab_site, "rj-r") as (old, new):
        walker = rejoiner_of(store, {"n1": old, "n2": new}, lab_site, tmp_path, "5s")
        operation = await walker.submit("n1", clone=True, without_evidence=True)

        async def end_with_the_copy(opened: Store) -> object:
            asyncio.get_running_loop().create_task(die_when_seen())
            return await Rejoiner(store=opened, ground=walker.ground, lease="5s").run(operation)

        async def die_when_seen() -> None:
            await seen(lambda: copying(old))
            os.kill(os.getpid(), signal.SIGKILL)

        assert die_in(url, end_with_the_copy)
        data = old.data_directory.resolve()
        assert json.loads((data.parent / f".{data.name}.dbre-rejoin" / "state.json").read_text())["phase"] == "cloning"
        record = await walker.run(operation)
        assert record.state is OperationState.SUCCEEDED, record.error
        await until(lambda: has(old, "after"))


def programs_that_fill(disk: Path, server: MariaDbServer) -> Path:
    """The same programs, but before mariadb-backup begins somebody else takes all but 4 MiB of the disk."""
    directory = disk / "bin"
    directory.mkdir()
    for name in ("mariadbd", "mariadb-binlog", "mariadb"):
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        assert found is not None
        (directory / name).symlink_to(found)
    words = f'fallocate -l $(( $(stat -f -c "%a*%S" {disk}) - 4194304 )) {disk}/ballast'
    text = f"""#!/bin/sh
case "$*" in *--backup*) [ -e {disk}/fill ] && {words} && rm {disk}/fill;; esac
exec {shutil.which("mariadb-backup")} "$@"
"""
    (directory / "mariadb-backup").write_text(text)
    for path in (directory, directory / "mariadb-backup"):
        path.chmod(0o755)
    (disk / "fill").touch()
    os.chown(disk / "fill", server.site.account.uid, server.site.account.gid)
    return directory


def with_programs(walker: Rejoiner, bindir: Path) -> Rejoiner:
    """The same, whose first instance has its programs there."""
    servers = walker.ground.servers
    (cluster,) = servers.fleet.clusters
    first, *others = cluster.instances
    assert first.control is not None
    first = replace(first, control=replace(first.control, bindir=bindir))
    fleet = Fleet(clusters=(replace(cluster, instances=(first, *others)),))
    return replace(walker, ground=replace(walker.ground, servers=replace(servers, fleet=fleet)))


async def test_no_room_for_the_copy_is_seen_before_and_while_it_is_made(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    with disk_of_its_own(lab_site, "narrow", "400m") as directory:
        async with forked(mariadb, lab_site, "rj-n", old_site=replace(lab_site, directory=directory)) as (old, new):
            walker = rejoiner_of(store, {"n1": old, "n2": new}, lab_site, tmp_path, "60s")
            walker = with_programs(walker, programs_that_fill(directory, old))
            ballast = directory / "ballast"
            free = os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free - 8 * 2**20)
            with pytest.raises(PrecheckFailed, match=r"cannot be done: .* are needed beside"):
                await walker.plan("n1", clone=True, without_evidence=True)
            ballast.unlink()

            record = await walker.rejoin("n1", clone=True, without_evidence=True)
            assert record.state is not OperationState.SUCCEEDED
            assert "n1 could not be copied anew" in str(record.error)
            assert "No space left" in str(record.error)
            assert not (directory / "fill").exists()
            ballast.unlink()
            left = os.statvfs(directory)
            assert left.f_bavail * left.f_frsize >= free - 2**20  # half a copy was taken away
            assert (old.data_directory / "ibdata1").is_file()
            done = await walker.rejoin("n1", clone=True, without_evidence=True)
            assert done.state is OperationState.SUCCEEDED, done.error
            await until(lambda: has(old, "after"))
