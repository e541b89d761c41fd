"""``backup.restore`` as an operation: its steps, what a killed worker leaves, and what is undone."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from restoring_scene_kit import CLUSTER, Scene
from restoring_walk_kit import Walk, planned

from dbre.capabilities.backup.catalog.phases import list_phases
from dbre.capabilities.backup.operations.restore_backup import RestoreBackup
from dbre.capabilities.backup.operations.restore_table import RestoreTable
from dbre.capabilities.backup.restoring.documents import target_input
from dbre.capabilities.backup.restoring.errors import InvalidTarget, NoSetForTarget
from dbre.core.errors import Conflict, PrecheckFailed, Unreachable
from dbre.core.operation.definition import NotHappened
from dbre.core.operation.plan import Risk
from dbre.lab.free_port import LOOPBACK, choose_port
from dbre.ports.backup.model import RecoveryTarget, TargetKind

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the cluster of all tests

STEPS = ["prepare", "fetch", "verify-sets", "read-log", "combine", "recover", "hand-over"]


def asked(scene: Scene, directory: Path, **given: Any) -> dict[str, Any]:
    target = RecoveryTarget(kind=TargetKind.TIME, at=scene.ledger[150].before)
    return {"cluster": CLUSTER, "target": target_input(target), "directory": str(directory), **given}


async def walk_of(scene: Scene, directory: Path, **given: Any) -> Walk:
    operation = RestoreBackup(scene.ground)
    return Walk(operation=operation, plan=(await planned(operation, asked(scene, directory, **given))).plan)


async def rows_of_started(scene: Scene, directory: Path) -> tuple[set[int], tuple[object, ...]]:
    """What an ordinary server, started by an operator on the handed over directory, has; and that it takes writes."""
    account, port = scene.ground.place.account, choose_port()
    settings = {"port": port, "listen_addresses": LOOPBACK, "unix_socket_directories": ""}
    given = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    argv = [scene.server.binaries.program("postgres"), "-D", directory, *given]
    server = subprocess.Popen(argv, cwd=directory, **account.credentials(), stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        login: dict[str, Any] = {"host": LOOPBACK, "port": port, "user": scene.given["user"], "dbname": "postgres"}
        login["password"] = (scene.root / "password").read_text()
        async with await connected(login) as connection:
            ids = {int(row[0]) for row in await (await connection.execute("SELECT id FROM ledger")).fetchall()}
            await connection.execute("INSERT INTO ledger (id) VALUES (-1)")
            told = await (
                await connection.execute("SELECT current_setting('archive_mode'), current_setting('restore_command')")
            ).fetchone()
            return ids, told or ()
    finally:
        server.send_signal(signal.SIGINT)
        await asyncio.to_thread(server.wait, 60)


async def connected(login: Mapping[str, Any]) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    for _ in range(600):
        try:
            return await psycopg.AsyncConnection.connect(**login, autocommit=True)
        except psycopg.OperationalError:
            await asyncio.sleep(0.1)
    pytest.fail("the restored server did not start within 60 s")


async def test_a_plan_says_what_would_be_done(scene: Scene) -> None:
    walk = await walk_of(scene, scene.root / "planned")
    assert [one.name for one in walk.plan.steps] == STEPS
    assert (walk.plan.risk, walk.plan.confirmation, walk.plan.target) == (Risk.SEVERE, CLUSTER, f"cluster/{CLUSTER}/restore")
    (_, origin) = walk.plan.changes
    assert (origin.after or "").count(" + ") == len(walk.plan.observed["chain"]) - 1
    assert not (scene.root / "planned").exists()


async def test_a_restore_whose_vault_is_away_is_refused_before_it_begins(scene: Scene) -> None:
    cellar = scene.root / "cellar"
    cellar.rename(cellar.with_name("unmounted"))
    try:
        with pytest.raises(Unreachable, match=r"lies in no vault that can be used: cellar: .* is not there"):
            await walk_of(scene, scene.root / "planned")
    finally:
        cellar.with_name("unmounted").rename(cellar)


@pytest.mark.parametrize("what", ["file", "full", "link", "orphan"])
async def test_nothing_is_ever_restored_over(scene: Scene, tmp_path: Path, what: str) -> None:
    directory = tmp_path / "there"
    if what == "file":
        directory.write_text("a file")
    elif what == "full":
        directory.mkdir()
        (directory / "something").touch()
    elif what == "link":
        directory.symlink_to(tmp_path)
    else:
        directory = tmp_path / "missing" / "there"
    with pytest.raises(PrecheckFailed):
        await walk_of(scene, directory)


async def test_a_moment_before_the_first_set_is_refused(scene: Scene, tmp_path: Path) -> None:
    target = target_input(RecoveryTarget(kind=TargetKind.TIME, at=scene.ledger[0].before))
    with pytest.raises(NoSetForTarget, match="lies before everything"):
        await walk_of(scene, tmp_path / "x", target=target)


async def test_a_moment_of_the_future_is_refused(scene: Scene, tmp_path: Path) -> None:
    at = scene.ledger[-1].after.replace(year=scene.ledger[-1].after.year + 1)
    with pytest.raises(InvalidTarget, match="future"):
        await walk_of(scene, tmp_path / "x", target=target_input(RecoveryTarget(kind=TargetKind.TIME, at=at)))


async def test_a_restored_directory_starts_as_an_ordinary_server(scene: Scene) -> None:
    directory = scene.root / "restored"
    walk = await walk_of(scene, directory)
    for name in STEPS:
        await walk.do(name)
    assert {holds for holds, _ in (await walk.verified()).values()} == {True}
    ids, settings = await rows_of_started(scene, directory)
    must, may = scene.visible_at(scene.ledger[150].before)
    assert must <= ids <= may
    assert settings == ("off", "")
    assert not list(scene.root.glob(".restored*"))
    assert not list((scene.ground.directory / "restoring").iterdir())
    async with scene.store.read() as connection:
        phases = await list_phases(connection, operation_id=walk.token.operation_id)
    assert {one.phase.name for one in phases} >= {
        "fetch",
        "verify",
        "fetch_log",
        "scan",
        "combine",
        "start",
        "replay",
        "promote",
    }
    shutil.rmtree(directory)


async def test_every_step_can_be_repeated(scene: Scene) -> None:
    """As after a worker that died when the step had happened and nobody had written it down."""
    directory = scene.root / "twice"
    walk = await walk_of(scene, directory)
    for name in STEPS[:-1]:
        await walk.do(name)
        if name != "recover":
            await walk.do(name)
    assert await walk.probe("recover") == walk.results["recover"]
    with pytest.raises(NotHappened):
        await walk.probe("hand-over")
    await walk.do("hand-over")
    assert await walk.probe("hand-over") == walk.results["hand-over"]
    await walk.undo()
    assert not directory.exists()


async def test_a_full_copy_alone_is_not_copied_again_and_is_fetched_again_where_it_was_used_up(scene: Scene) -> None:
    full = (await scene.catalog()).sets[0]
    walk = await walk_of(scene, scene.root / "moved", set=full.id)
    for name in STEPS[:4]:
        await walk.do(name)
    fetched = scene.ground.directory / "restoring" / str(walk.token.operation_id) / "sets" / full.id
    inode = (fetched / "PG_VERSION").stat().st_ino
    await walk.do("combine")
    (made,) = scene.root.glob(".moved*")
    assert (made / "PG_VERSION").stat().st_ino == inode
    assert not fetched.exists()
    (made / "base" / "1" / "PG_VERSION").unlink()  # as a server that was killed may leave it
    vault, away = scene.root / "cellar", scene.root / "cellar.away"
    vault.rename(away)
    try:
        with pytest.raises(Unreachable):
            await walk.do("combine")
        assert not made.exists(), "it goes before anything is fetched: there was to be room for one of them only"
    finally:
        away.rename(vault)
    again = await walk.do("combine")
    assert [one["name"] for one in again["phases"]] == ["fetch", "verify", "combine"]
    assert (made / "base" / "1" / "PG_VERSION").exists()
    await walk.undo()


async def test_what_is_undone_leaves_nothing(scene: Scene) -> None:
    walk = await walk_of(scene, scene.root / "undone")
    for name in STEPS[:5]:
        await walk.do(name)
    assert list(scene.root.glob(".undone*"))
    await walk.undo()
    assert not list(scene.root.glob(".undone*"))
    assert not list((scene.ground.directory / "restoring").iterdir())


async def test_a_directory_of_somebody_else_is_not_removed(scene: Scene) -> None:
    directory = scene.root / "theirs"
    walk = await walk_of(scene, directory)
    walk.results = {"recover": {"inode": 1}, "hand-over": {}}
    directory.mkdir()
    with pytest.raises(Conflict, match="is not the directory that was restored"):
        await walk.undo()
    directory.rmdir()


@pytest.mark.slow
async def test_a_worker_that_is_killed_in_any_step_is_followed_by_one_that_ends_it(scene: Scene) -> None:
    directory = scene.root / "killed"
    operation = RestoreBackup(scene.ground)
    made = await planned(operation, asked(scene, directory))
    walk = Walk(operation=operation, plan=made.plan)
    moments = {"fetch": "progress", "combine": "progress", "recover": "note"}
    for name in STEPS:
        given = {
            "plan": made.document(),
            "url": f"sqlite:///{scene.root / 'dbre.db'}",
            "ground": scene.given,
            "step": name,
            "results": walk.results,
            "id": str(walk.token.operation_id),
        }
        await killed(scene.root / "child.json", given, f"{moments.get(name, 'begun')} {name}")
        if name in ("recover", "hand-over"):
            try:
                walk.results[name] = await walk.probe(name)
                continue
            except NotHappened:
                pass
        await walk.do(name)
    assert {holds for holds, _ in (await walk.verified()).values()} == {True}
    ids, _ = await rows_of_started(scene, directory)
    must, may = scene.visible_at(scene.ledger[150].before)
    assert must <= ids <= may
    assert not list((scene.ground.directory / "restoring").iterdir())
    shutil.rmtree(directory)


async def killed(path: Path, given: Mapping[str, Any], at: str) -> None:
    """Run a step in a process of its own, and kill it as soon as it says ``at``."""
    path.write_text(json.dumps(given))
    here = str(Path(__file__).parent)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(here) / "restore_child.py"),
        str(path),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": here},
    )
    assert child.stdout is not None
    async with asyncio.timeout(120):
        seen = []
        while line := (await child.stdout.readline()).decode().strip():
            seen.append(line)
            if line == at:
                break
        else:
            pytest.fail(f"the child ended before {at}: {seen}")
    child.kill()
    assert await child.wait() == -signal.SIGKILL


async def test_a_table_of_then_comes_back_beside_the_living_one(scene: Scene) -> None:
    operation = RestoreTable(scene.ground)
    moment = scene.ledger[120].before
    target = target_input(RecoveryTarget(kind=TargetKind.TIME, at=moment))
    given = {"cluster": CLUSTER, "table": "ledger", "into": "ledger_then", "target": target}
    walk = Walk(operation=operation, plan=(await planned(operation, given)).plan)
    with pytest.raises(NotHappened):
        await walk.probe("load")
    await walk.do("load")
    ids = {int(str(row[0])) for row in await scene.query("SELECT id FROM ledger_then")}
    must, may = scene.visible_at(moment)
    assert must <= ids <= may
    assert {holds for holds, _ in (await walk.verified()).values()} == {True}
    assert (await walk.probe("load"))["table"] == "public.ledger_then"
    with pytest.raises(Conflict, match="exists already"):
        await planned(operation, given)
    await walk.undo()
    assert await scene.query("SELECT to_regclass('ledger_then')") == [(None,)]


async def test_a_table_is_not_restored_over_itself(scene: Scene) -> None:
    target = target_input(RecoveryTarget(kind=TargetKind.LATEST))
    with pytest.raises(PrecheckFailed, match="is the living table itself"):
        await planned(
            RestoreTable(scene.ground), {"cluster": CLUSTER, "table": "ledger", "into": "public.ledger", "target": target}
        )
