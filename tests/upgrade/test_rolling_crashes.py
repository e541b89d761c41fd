"""The process that rolls is killed with SIGKILL between two commits, and another one goes on: each server restarted once."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pair_kit import commands, next_version

from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair, running
from upgrade_kit import SHORT_LEASE, Ground, Walker, fleet_of, results_of, run_and_die


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 's.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def ask(server: PostgresServer, query: str) -> str:
    async with await server.connect() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return str(row[0])


async def killed_and_resumed(pair: PostgresPair, url: str, number: int) -> bool:
    """Kill the process at one moment, go on with another; whether the operation had not ended before that moment."""
    servers = {"n1": pair.primary, "n2": pair.replica}
    ground, wanted = Ground.of(fleet_of(servers)), str(110 + number)
    async with open_store(url, clock=SystemClock()) as opened:
        operation = await Walker(store=opened, ground=ground).submit("upgrade.parameters", set={"max_connections": wanted})
    if not run_and_die(url, ground, operation, number):
        return False
    async with open_store(url, clock=SystemClock()) as opened:
        record = await Walker(store=opened, ground=ground, lease=SHORT_LEASE).run(operation)
    assert record.state is OperationState.SUCCEEDED, (number, record.error)
    for one in servers.values():
        assert await ask(one, "SELECT current_setting('max_connections')") == wanted
        assert await ask(one, "SELECT count(*) FROM pg_settings WHERE pending_restart") == "0"
    roles = [await one.role() for one in servers.values()]
    assert sorted(roles) == [Role.PRIMARY, Role.REPLICA]
    return True


@pytest.mark.parametrize("number", [11], ids=["in-the-child"])
async def test_it_goes_on_where_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str, number: int) -> None:
    assert await killed_and_resumed(postgres_pair, url, number)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_it_goes_on_wherever_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str) -> None:
    number = 0
    while await killed_and_resumed(postgres_pair, url, number := number + 1):
        pass
    assert number > 14


_KILLS_WHO_RUNS_IT_ONCE = """
echo ran >> {log}
/usr/bin/install -m 755 {new} {program}
[ -e {killed} ] || {{ : > {killed}; kill -9 $PPID; sleep 60; }}
"""


async def test_programs_are_replaced_once_where_who_did_it_was_killed_before_it_could_be_noted(
    redis_server: RedisServer, lab_site: Site, store: Store, url: str, tmp_path: Path
) -> None:
    program = lab_site.directory / "up-killed-programs" / "redis-server"
    lab_site.make_directory(program.parent)
    shutil.copy(redis_server.program.path, program)
    new, log = tmp_path / "new", tmp_path / "log"
    new.write_bytes(next_version(redis_server)[0])
    text = _KILLS_WHO_RUNS_IT_ONCE.format(log=log, new=new, program=program, killed=tmp_path / "killed")
    own = replace(redis_server.program, path=program)
    async with running(RedisServer("up-killed", lab_site, program=own)) as server:
        fleet = fleet_of({"n1": server}, commands({"n1": server}))
        given = [{"instance": "n1", "install": ["/bin/sh", "-c", text], "version": [str(program), "--version"]}]
        ground = Ground.of(fleet, settings={"commands": given, "start": "30s"})
        operation = await Walker(store=store, ground=ground).submit("upgrade.minor")
        assert run_and_die(url, ground, operation, 9999)

        record = await Walker(store=store, ground=ground, lease=SHORT_LEASE).run(operation)

        assert record.state is OperationState.SUCCEEDED, record.error
        assert results_of(record)["replace:n1"]["version"] == next_version(redis_server)[1]
        assert log.read_text() == "ran\n"
    shutil.rmtree(program.parent)
