"""The process that changes the primary is killed with SIGKILL, and another one goes on: one primary, everything there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from switchover_kit import Walker, controlled, entries, ground_of, roles, run_and_die, until, write

from dbre.capabilities.ha.switchover.timing import timing_of
from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 's.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def killed_and_resumed(pair: PostgresPair, url: str, number: int) -> bool:
    """Kill the process at one moment, go on with another; whether the operation had not ended before that moment."""
    servers = {"n1": pair.primary, "n2": pair.replica}
    ground = ground_of(controlled("postgresql", servers))
    (old,) = [name for name, role in (await roles(servers)).items() if role is Role.PRIMARY]
    new = "n2" if old == "n1" else "n1"
    await write(servers[old], f"before {number}")
    async with open_store(url, clock=SystemClock()) as opened:
        operation = await Walker(store=opened, ground=ground).submit(to=new)
    if not run_and_die(url, ground, operation, number):
        return False
    async with open_store(url, clock=SystemClock()) as opened:
        record = await Walker(store=opened, ground=ground).run(operation)
    assert record.state is OperationState.SUCCEEDED, (number, record.error)
    timing = timing_of(record)
    assert timing is not None
    for one in record.steps:
        if one.name == "give-up" and one.is_recovered:  # counted from when it was begun, not from when somebody looked
            assert timing.seconds == (timing.ended_at - one.started_at).total_seconds()
    assert await roles(servers) == {new: Role.PRIMARY, old: Role.REPLICA}
    await write(servers[new], f"after {number}")

    async def is_whole() -> bool:
        return {f"before {number}", f"after {number}"} <= set(await entries(servers[old]))

    await until(is_whole)
    return True


@pytest.mark.parametrize("number", [5, 6, 9], ids=["stopped-not-recorded", "stopped", "promoted-not-recorded"])
async def test_it_goes_on_where_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str, number: int) -> None:
    assert await killed_and_resumed(postgres_pair, url, number)


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_it_goes_on_wherever_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str) -> None:
    number = 0
    while await killed_and_resumed(postgres_pair, url, number := number + 1):
        pass
    assert number > 14  # claim, six steps, verification; before and after each commit
