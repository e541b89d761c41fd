"""Four workers, many operations on shared targets, workers killed at random: nothing overlaps, is lost or happens twice."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from broker_kit import Broker, broker_of
from proof_kit import Crew, effects, overlaps, prepare_effects, states, submit, until_final

from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
COUNT = int(os.environ.get("DBRE_PROOF_OPERATIONS", "150"))
KILLED = 6


@pytest.fixture
async def effects_conninfo(fresh_postgres: PostgresServer) -> str:
    async with await fresh_postgres.connect() as admin:
        await admin.execute("CREATE DATABASE effects")
        await admin.execute("CREATE DATABASE state")
    conninfo = fresh_postgres.conninfo(database="effects")
    await prepare_effects(conninfo)
    return conninfo


@pytest.fixture
async def state(fresh_postgres: PostgresServer, effects_conninfo: str) -> AsyncIterator[Store]:
    url = state_url(fresh_postgres)
    async with open_store(url, clock=SystemClock(), migrate=True, password=Secret(fresh_postgres.password.reveal())) as store:
        yield store


def state_url(server: PostgresServer) -> str:
    return f"postgresql://{server.superuser}@{server.address}/state"


def told(server: PostgresServer, conninfo: str, broker: Broker | None, **changes: Any) -> dict[str, Any]:
    return {
        "state": state_url(server),
        "state_password": server.password.reveal(),
        "effects": conninfo,
        "lease": "6s",
        "renewal": "1s",
        "concurrency": 8,
        "grace": 5,
        "zone": None,
        "seconds": 0.01,
        "broker": None if broker is None else {"url": broker.document.url, "timeout": "2s", "visibility_timeout": "10s"},
        "broker_password": None if broker is None else broker.password.reveal(),
    } | changes


@pytest.fixture(params=["rabbitmq", "redis", "store"])
def carried_by(request: pytest.FixtureRequest) -> Broker | None:
    """What tells workers of operations; None: they look into the store. Not async, as it starts another fixture."""
    server = {"rabbitmq": "rabbitmq", "redis": "redis_server"}.get(request.param)
    return None if server is None else broker_of(request.getfixturevalue(server))


async def test_operations_on_shared_targets_survive_workers_that_are_killed(
    fresh_postgres: PostgresServer,
    effects_conninfo: str,
    state: Store,
    tmp_path: Path,
    carried_by: Broker | None,
    record_property: Callable[[str, object], None],
) -> None:
    ids = await submit(state, COUNT, targets=50)
    crew = Crew(told=told(fresh_postgres, effects_conninfo, carried_by), log=tmp_path / "workers.log")
    try:
        seconds = await until_final(state, crew, seconds=200, kill_each=COUNT // KILLED)
    finally:
        crew.end()
    assert await states(state) == {"succeeded": COUNT}
    trace, done = await effects(effects_conninfo)
    assert overlaps(trace) == []
    assert set(done) == {(str(one), step) for one in ids for step in ("first", "second")}
    assert set(done.values()) == {1}, "an effect happened twice"
    assert crew.killed >= KILLED // 2, f"only {crew.killed} were killed"
    record_property("seconds", round(seconds, 1))
    record_property("killed", crew.killed)
