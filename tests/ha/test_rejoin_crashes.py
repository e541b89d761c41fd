"""pg_rewind, its source and who runs it end in the middle: what is half of two histories is copied anew, and never started."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kill_kit import Failpoints
from rejoin_kit import Rejoiner, diverge, entries, forkable, ground_of, receives, results, run

from dbre.core.clock import SystemClock
from dbre.core.fleet import Fleet
from dbre.core.operation.states import OperationState
from dbre.core.programs.processes import serving
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 's.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def phase_of(server: PostgresServer) -> str | None:
    """What the marker beside the data says."""
    data = server.data_directory.resolve()
    path = data.parent / f".{data.name}.dbre-rejoin" / "state.json"
    return str(json.loads(path.read_text())["phase"]) if path.is_file() else None


def rewinding(server: PostgresServer) -> list[int]:
    return [one.pid for one in serving(server.data_directory, lambda _, name: name == "pg_rewind")]


async def slow_logins(server: PostgresServer, seconds: int) -> None:
    """pg_rewind is sure to be seen at work."""
    await run(server, f"ALTER SYSTEM SET post_auth_delay = '{seconds}s'", "SELECT pg_reload_conf()")


async def seen(look: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not await asyncio.to_thread(look):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def programs_that_end_early(pair: PostgresPair) -> Path:
    """The same programs, but pg_rewind may write no file beyond half a mebibyte: the kernel ends it while it copies."""
    server = pair.primary
    directory = server.directory / "bin"
    directory.mkdir()
    real = server.binaries.directory
    for path in real.iterdir():
        (directory / path.name).symlink_to(path)
    (directory / "pg_rewind").unlink()
    (directory / "pg_rewind").write_text(f'#!/bin/sh\nulimit -f 1024\nexec {real}/pg_rewind "$@"\n')
    for path in (directory, directory / "pg_rewind"):
        path.chmod(0o755)
    return directory


async def test_pg_rewind_that_dies_while_it_writes_leaves_nothing_that_is_trusted(
    lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forkable(lab_site, "dies", version=15) as pair:
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        ground = ground_of(pair, tmp_path, lab_site)
        (cluster,) = ground.servers.fleet.clusters
        first, *others = cluster.instances
        assert first.control is not None
        first = replace(first, control=replace(first.control, bindir=programs_that_end_early(pair)))
        fleet = Fleet(clusters=(replace(cluster, instances=(first, *others)),))
        rejoiner = Rejoiner(store=store, ground=replace(ground, servers=replace(ground.servers, fleet=fleet)))
        assert any("rewind the data" in one.summary for one in (await rejoiner.plan()).steps)

        record = await rejoiner.rejoin()
        assert record.state is OperationState.SUCCEEDED, record.error
        found = results(record)["align"]
        assert found["way"] == "clone"
        assert "pg_rewind did not come to its end" in found["detail"]
        await receives(old, 2)
        assert await entries(old) == ["after", "before"]
        assert phase_of(old) is None


@pytest.mark.soak
async def test_a_source_that_goes_away_leaves_a_marker_and_the_next_attempt_copies(
    lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forkable(lab_site, "gone", version=15) as pair:
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site))
        operation = await rejoiner.submit()
        await slow_logins(new, 1)
        task = asyncio.create_task(rejoiner.run(operation))
        await seen(lambda: rewinding(old))
        await new.stop()  # "terminating connection due to administrator command"
        record = await task
        assert record.state is not OperationState.SUCCEEDED
        assert phase_of(old) in ("rewinding", "cloning")
        assert not old.processes()

        await new.start()
        await run(new, "ALTER SYSTEM RESET post_auth_delay", "SELECT pg_reload_conf()", "INSERT INTO ledger VALUES ('later')")
        plan = await rejoiner.plan()
        assert any("nothing of it is trusted" in (one.before or "") for one in plan.changes)
        again = await rejoiner.rejoin()
        assert again.state is OperationState.SUCCEEDED, again.error
        assert results(again)["align"]["way"] == "clone"
        assert results(again)["align"]["detail"] == "an earlier attempt did not come to its end"
        await receives(old, 2)
        assert await entries(old) == ["after", "before", "later"]


@pytest.mark.soak
async def test_who_runs_it_is_killed_while_pg_rewind_is_at_work(lab_site: Site, store: Store, url: str, tmp_path: Path) -> None:
    async with forkable(lab_site, "killed", version=15) as pair:
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        ground = ground_of(pair, tmp_path, lab_site)
        operation = await Rejoiner(store=store, ground=ground).submit()
        await slow_logins(new, 1)
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_run(url, Rejoiner(store=store, ground=ground), operation, None))
            finally:
                os._exit(0)
        await seen(lambda: rewinding(old))
        os.kill(child, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, child, 0)
        left = rewinding(old)
        for pid in left:
            os.kill(pid, signal.SIGSTOP)  # it would go on, whoever takes over
        assert phase_of(old) == "rewinding"
        await run(new, "ALTER SYSTEM RESET post_auth_delay", "SELECT pg_reload_conf()")

        record = await Rejoiner(store=store, ground=ground).run(operation)
        assert record.state is OperationState.SUCCEEDED, record.error
        assert left
        assert not rewinding(old)
        assert results(record)["align"]["way"] == "clone"
        await receives(old, 2)
        assert await entries(old) == ["after", "before"]


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_it_goes_on_wherever_it_was_killed(lab_site: Site, store: Store, url: str, tmp_path: Path) -> None:
    async with forkable(lab_site, "walk", version=15) as pair:
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site))
        number = 0
        while True:
            number += 1
            operation = await rejoiner.submit(clone=number > 1)
            child = os.fork()
            if child == 0:
                try:
                    asyncio.run(_run(url, rejoiner, operation, Failpoints(number)))
                finally:
                    os._exit(0)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            if not os.WIFSIGNALED(status):
                break
            record = await rejoiner.run(operation)
            assert record.state is OperationState.SUCCEEDED, (number, record.error)
            await receives(old, 2)
            assert await entries(old) == ["after", "before"]
        assert number > 14  # claim, six steps, verification; before and after each commit


async def _run(url: str, rejoiner: Rejoiner, operation: object, hooks: object) -> None:
    async with open_store(url, clock=SystemClock()) as store:
        await replace(rejoiner, store=store).run(operation, hooks=hooks)  # type: ignore[arg-type]
