"""A lab goes up whole or not at all, and down from any state, and touches nothing that is not its own."""

import asyncio
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from dbre.capabilities.chaos.config_document import CHAOS
from dbre.capabilities.observe import PROBE
from dbre.capabilities.slo.documents import SLOS
from dbre.core.config import load
from dbre.core.errors import Conflict, Denied, UsageError
from dbre.core.fleet_document import FLEET, build_fleet
from dbre.core.programs.account import choose_account
from dbre.core.programs.errors import DirectoryUnusable
from dbre.core.store import STATE
from dbre.lab import Lab, LabEngine, LabSpec, ServerState, lab_directory, list_labs, take_down
from dbre.lab.errors import LabError, ServerFailed, UnknownLab
from dbre.lab.place import MARKER, claim, remove
from dbre.lab.postgres import PostgresServer
from dbre.lab.processes import Process, find_processes
from dbre.ports.session import Role

FAST = LabSpec(name="orders", replicas=0, durable=False)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest_asyncio.fixture(loop_scope="session")
async def orders(environment: dict[str, str], postgres18: PostgresServer) -> AsyncIterator[Lab]:
    lab = await Lab.create(replace(FAST, replicas=1), environment=environment)
    yield lab
    take_down("orders", environment=environment)


async def test_a_lab_is_a_primary_with_replicas_and_a_configuration_that_loads(
    orders: Lab, environment: dict[str, str]
) -> None:
    statuses = await orders.status()
    assert [(one.name, one.role, one.state) for one in statuses] == [
        ("orders-1", Role.PRIMARY, ServerState.RUNNING),
        ("orders-2", Role.REPLICA, ServerState.RUNNING),
    ]
    config = load([orders.config_file], sections=[FLEET, SLOS, PROBE, STATE, CHAOS], environment={}, flags={})
    (cluster,) = build_fleet(config, default_ports={"postgresql": 5432}).clusters
    assert [str(one.address) for one in cluster.instances] == [str(one.address) for one in orders.servers]
    assert len(config.get(SLOS)) == 4
    assert set(config.get(CHAOS).suites[0].entries) == {"disk-pressure"}  # what the suite has to be told
    assert cluster.password is not None
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=orders.primary.address.port,
        user=cluster.user,
        password=cluster.password.reveal(),
        dbname=cluster.databases[0],
    )
    row = await (await connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).fetchone()
    await connection.close()
    assert row == (False,)
    assert list_labs(environment=environment) == ["orders"]


async def test_every_file_with_a_secret_is_private(orders: Lab) -> None:
    for path in [*sorted(orders.directory.rglob("*password*")), orders.config_file]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_another_process_can_open_freeze_and_thaw_a_lab(orders: Lab, environment: dict[str, str]) -> None:
    same = Lab.open("orders", environment=environment)
    assert [one.pid for one in same.servers] == [one.pid for one in orders.servers]
    await same.server("orders-2").freeze()
    assert [one.state for one in await orders.status()] == [ServerState.RUNNING, ServerState.FROZEN]
    await same.server("orders-2").thaw()
    await same.primary.kill()
    assert [one.state for one in await same.status()] == [ServerState.STOPPED, ServerState.RUNNING]
    with pytest.raises(UnknownLab, match="no server 'order-1'") as caught:
        same.server("order-1")
    assert caught.value.hint == "did you mean orders-1?"


@pytest.mark.parametrize("state", ["running", "killed", "frozen", "orphaned", "no manifest", "torn manifest", "only marker"])
async def test_a_lab_goes_down_from_any_state_twice(state: str, orders: Lab, environment: dict[str, str]) -> None:
    pids = [process.pid for process in find_processes(orders.directory)]
    manifest = orders.directory / "lab.json"
    if state == "killed":
        await orders.primary.kill()
    elif state == "frozen":
        for server in orders.servers:
            await server.freeze()
    elif state == "orphaned":
        await orders.primary.freeze()
        os.kill(orders.primary.pid or 0, signal.SIGKILL)
    elif state == "no manifest":
        manifest.unlink()
    elif state == "torn manifest":
        manifest.write_text('{"spec": {"name"')
    elif state == "only marker":
        for server in orders.servers:
            await server.destroy()
    assert take_down("orders", environment=environment) is True
    assert not exists(orders.directory)
    assert not [pid for pid in pids if (one := Process.read(pid)) is not None and one.is_alive]
    assert take_down("orders", environment=environment) is False


def run(*words: str | Path) -> bool:
    return subprocess.run([os.fspath(word) for word in words], capture_output=True).returncode == 0


def sleeping(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], cwd=directory)


def exists(path: Path) -> bool:
    return os.path.lexists(path)


async def test_a_broken_lab_cannot_be_opened_and_says_how_to_remove_it(orders: Lab, environment: dict[str, str]) -> None:
    (orders.directory / "lab.json").write_text("{}")
    with pytest.raises(LabError, match="is not complete") as caught:
        Lab.open("orders", environment=environment)
    assert caught.value.hint == "take it down: dbre lab down --name orders"


async def test_a_second_lab_of_the_same_name_is_refused_and_the_first_one_lives(
    orders: Lab, environment: dict[str, str]
) -> None:
    with pytest.raises(Conflict, match="lab 'orders' is up"):
        await Lab.create(FAST, environment=environment)
    await orders.primary.kill()
    await orders.replicas[0].kill()
    with pytest.raises(Conflict, match="lab 'orders' left its files") as caught:
        await Lab.create(FAST, environment=environment)
    assert caught.value.hint == "take it down first: dbre lab down --name orders"


async def test_a_lab_that_cannot_be_built_leaves_nothing(
    environment: dict[str, str], postgres_pair: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: PostgresServer, primary: PostgresServer) -> None:
        raise ServerFailed("pg_basebackup ended with 1")

    monkeypatch.setattr(PostgresServer, "_clone", fail)
    with pytest.raises(ServerFailed, match="pg_basebackup"):
        await Lab.create(replace(FAST, replicas=1), environment=environment)
    where = lab_directory("orders", None, environment=environment)
    assert not exists(where)
    assert not find_processes(where)


async def test_an_interrupted_build_leaves_nothing(environment: dict[str, str], postgres18: PostgresServer) -> None:
    where = lab_directory("orders", None, environment=environment)
    building = asyncio.create_task(Lab.create(replace(FAST, replicas=3), environment=environment))
    async with asyncio.timeout(20):
        while not (exists(where) and find_processes(where)):  # noqa: ASYNC110 - no event tells when a process appears
            await asyncio.sleep(0.01)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not exists(where)
    assert not find_processes(where)


async def test_what_is_not_a_lab_is_neither_used_nor_removed(environment: dict[str, str], open_directory: Path) -> None:
    precious = open_directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    with pytest.raises(DirectoryUnusable, match="is not empty, and holds no lab"):
        await Lab.create(FAST, precious, environment=environment)
    with pytest.raises(DirectoryUnusable, match="holds no lab: nothing was removed"):
        take_down("orders", precious, environment=environment)
    link = open_directory / "link"
    link.symlink_to(precious)
    with pytest.raises(DirectoryUnusable, match="is not a directory"):
        await Lab.create(FAST, link, environment=environment)
    (precious / MARKER).write_text("{}")
    with pytest.raises(DirectoryUnusable, match="holds no lab: nothing was removed"):
        take_down("orders", link, environment=environment)
    (precious / MARKER).unlink()
    with pytest.raises(DirectoryUnusable, match="is not a directory"):
        await Lab.create(FAST, precious / "file", environment=environment)
    with pytest.raises(DirectoryUnusable, match="precious/file: File exists"):
        await Lab.create(FAST, precious / "file" / "below", environment=environment)
    assert (precious / "file").read_text() == "mine"


def test_a_link_inside_a_lab_does_not_lead_the_removal_outside(open_directory: Path) -> None:
    outside = open_directory / "outside"
    outside.mkdir()
    (outside / "file").touch()
    lab = open_directory / "orders"
    lab.mkdir()
    (lab / MARKER).touch()
    (lab / "orders-1").symlink_to(outside)
    assert remove(lab) is True
    assert (outside / "file").exists()


async def test_an_empty_directory_that_is_there_is_used(
    environment: dict[str, str], open_directory: Path, postgres18: PostgresServer
) -> None:
    where = open_directory / "with blanks and 'quotes'"
    where.mkdir()
    lab = await Lab.create(FAST, where, environment=environment)
    assert [one.state for one in await Lab.open("orders", where).status()] == [ServerState.RUNNING]
    assert lab.directory == where
    assert take_down("orders", where) is True


async def test_a_directory_longer_than_a_socket_path_works(
    environment: dict[str, str], open_directory: Path, postgres18: PostgresServer
) -> None:
    where = open_directory / ("long-" * 30) / ("longer-" * 30)
    lab = await Lab.create(replace(FAST, replicas=1), where, environment=environment)
    assert len(str(lab.primary.data_directory)) > 400
    assert [one.role for one in await lab.status()] == [Role.PRIMARY, Role.REPLICA]
    await lab.down()


@as_root
async def test_a_directory_that_the_servers_account_cannot_reach_is_named(
    environment: dict[str, str], open_directory: Path, postgres18: PostgresServer
) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DirectoryUnusable, match=f"may not enter {closed}"):
        await Lab.create(FAST, closed / "lab", environment=environment)
    assert not any(closed.iterdir())


def test_the_lab_of_another_user_is_not_removed(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = open_directory / "orders"
    lab.mkdir()
    (lab / MARKER).write_text("{}")
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(Denied, match=f"belongs to user {lab.stat().st_uid}"):
        remove(lab)
    assert (lab / MARKER).exists()


@as_root
async def test_a_full_disk_is_refused_beforehand_and_reported_on_the_way(
    environment: dict[str, str], open_directory: Path, postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = open_directory / "small"
    small.mkdir()
    if not run("mount", "-t", "tmpfs", "-o", "size=24m,mode=0711", "tmpfs", small):
        pytest.skip("mount is not allowed here")
    try:
        with pytest.raises(DirectoryUnusable, match=r"has 2\d\.\d MiB free; 2 servers need 400\.0 MiB"):
            await Lab.create(replace(FAST, replicas=1), small / "lab", environment=environment)
        monkeypatch.setattr("dbre.lab.place.NEEDED_BYTES", 1)
        with pytest.raises(LabError, match="No space left on device"):
            await Lab.create(FAST, small / "lab", environment=environment)
        assert not any(small.iterdir())
    finally:
        assert run("umount", small)


async def test_a_process_that_got_the_pid_of_a_dead_server_is_not_touched(
    orders: Lab, environment: dict[str, str], tmp_path: Path
) -> None:
    """A stranger with our pid in the note: what would be found after the pid was used again."""
    await orders.primary.kill()
    with sleeping(tmp_path) as stranger:
        try:
            note = orders.primary.directory / "process.json"
            note.write_text(f'{{"pid": {stranger.pid}, "start_ticks": 1, "port": {orders.primary.address.port}}}')
            same = Lab.open("orders", environment=environment)
            assert not same.primary.is_running
            with pytest.raises(LabError, match="does not run"):
                await same.primary.freeze()
            await same.primary.stop()
            assert take_down("orders", environment=environment) is True
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("replicas", [-1, 9, 100])
def test_a_number_of_replicas_that_is_not_possible_is_refused(replicas: int) -> None:
    with pytest.raises(UsageError, match=f"{replicas} replicas are not possible: 0 to 8"):
        LabSpec(replicas=replicas)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "../x", "a b", "ä", "a\nb", "a" * 33, "."])
def test_a_name_that_could_be_a_path_or_a_flag_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab"):
        LabSpec(name=name)
    with pytest.raises(UsageError, match="cannot name a lab"):
        lab_directory(name, None)


def test_a_version_of_another_engine_cannot_be_chosen() -> None:
    with pytest.raises(UsageError, match="not for redis"):
        LabSpec(engine=LabEngine.REDIS, version=7)


def test_an_unknown_lab_is_reported_with_the_nearest_name(environment: dict[str, str], open_directory: Path) -> None:
    account_free = open_directory / "dbre" / "lab" / "orders"
    account_free.mkdir(parents=True)
    (account_free / MARKER).touch()
    with pytest.raises(UnknownLab, match="no lab 'order'") as caught:
        Lab.open("order", environment=environment)
    assert caught.value.hint == "did you mean orders?"


def test_a_base_directory_open_to_others_is_refused(open_directory: Path) -> None:
    base = open_directory / "base"
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(DirectoryUnusable, match="open to other users"):
        claim(base / "lab", name="lab", account=choose_account(os.environ), servers=1)
    base.chmod(0o1777)
    claim(base / "lab", name="lab", account=choose_account(os.environ), servers=1)
    assert remove(base / "lab") is True


@pytest.mark.parametrize("engine", [LabEngine.MARIADB, LabEngine.REDIS])
async def test_other_engines_replicate_too(
    engine: LabEngine, environment: dict[str, str], mariadb: object, redis_server: object
) -> None:
    lab = await Lab.create(LabSpec(name="other", engine=engine, replicas=1, durable=False), environment=environment)
    try:
        assert [one.role for one in await lab.status()] == [Role.PRIMARY, Role.REPLICA]
        await lab.primary.kill()
        await lab.primary.start()
        assert lab.primary.is_running
    finally:
        await lab.down()
    assert not exists(lab.directory)
