"""Whoever runs a failover of a site, its failback or a switch is killed at a commit; the next one brings it to its end."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from disaster_kit import CLOCK, Sites, was_late
from rejoin_kit import entries, forkable, run
from switchover_kit import controlled, roles

from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(900)]

HOME = {"n1": Role.PRIMARY, "n2": Role.REPLICA}
AWAY = {"n1": Role.REPLICA, "n2": Role.PRIMARY}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=False, migrate=True) as opened:
        yield opened


@pytest.fixture
async def pair(lab_site: Any) -> AsyncIterator[PostgresPair]:
    async with forkable(lab_site, "drkill") as found:
        yield found


@pytest.mark.parametrize("number", [2, 7, 12, 17, 22, 27, 32, 37, 42])
async def test_every_act_goes_on_where_its_runner_was_killed(
    store: Store, pair: PostgresPair, lab_site: Any, tmp_path: Path, number: int
) -> None:
    servers = {"n1": pair.primary, "n2": pair.replica}
    sites = Sites(
        fleet=controlled("postgresql", servers), url=f"sqlite:///{tmp_path / 'state.db'}", site=lab_site, directory=tmp_path
    )
    killed = 0

    async def do(kind: str, **asked: Any) -> None:
        nonlocal killed
        done, end = None, time.monotonic() + 90
        while done is None or (was_late(done) and time.monotonic() < end):
            submitted = await sites.submit(store, kind, **asked)
            killed += sites.run_and_die(submitted, number)
            done = await sites.run(store, submitted)
        assert done.state is OperationState.SUCCEEDED, (kind, number, done.error)

    await pair.primary.kill()
    await do("ha.dr_failover", primary="n1", accept_loss=True)
    assert await pair.replica.role() is Role.PRIMARY
    await run(pair.replica, "INSERT INTO ledger VALUES ('in the west')")
    await do("ha.dr_failback")
    assert await roles(servers) == HOME
    await do("ha.dr_switch")
    assert await roles(servers) == AWAY
    assert await entries(pair.replica) == ["before", "in the west"]
    assert killed  # in one of them at least; the shorter ones end before the later moments
