"""The switch that ends every experiment, what is kept of those that it ended, and how soon they were gone."""

import asyncio

import pytest
from resilience_kit import PATIENCE, Installation, RedisPair, freeze, until

from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.repository import find_run, list_runs, previous_run
from dbre.capabilities.chaos.switching.stopping import active_experiments, end_all
from dbre.capabilities.chaos.switching.switch import close_switch, open_switch, read_switch
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied, PrecheckFailed, UsageError
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.desk import Submission
from dbre.core.operation.states import OperationState

CLOCK = SystemClock()
OPERATOR = Principal(name="olga", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.OPERATOR),))
ADMIN = Principal(name="ada", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.ADMIN),))
VIEWER = Principal(name="vic", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.VIEWER),))


async def test_stopping_ends_what_runs_and_lets_nothing_begin_until_it_is_opened(
    installation: Installation, redis_pair: RedisPair
) -> None:
    async with installation.desk() as desk, installation.application.open_store() as store:
        record = await desk.request("chaos.run", freeze(600), Submission(confirm="orders"))
        running = asyncio.create_task(desk.run_here(record.id))
        await until(lambda: redis_pair.replica.is_frozen)
        assert [one.id for one in await active_experiments(desk)] == [record.id]
        await close_switch(store, CLOCK, OPERATOR, "enough")
        await until(lambda: not redis_pair.replica.is_frozen)
        (ended,) = await end_all(desk, CLOCK, reason="enough", limit_seconds=PATIENCE) or [await desk.get(record.id)]
        await asyncio.wait_for(running, PATIENCE)
        assert (await desk.get(ended.id)).state is OperationState.COMPENSATED
        async with store.read() as connection:
            run = await find_run(connection, str(record.id))
        assert run.state is RunState.STOPPED
        assert "olga stopped all experiments" in str(run.observed["reason"])
        assert run.observed["revert_seconds"] < 30
        assert all(one["is_reverted"] for one in run.faults)
        for kind, asked in (("chaos.run", freeze(1)), ("chaos.suite", {"cluster": "orders"})):
            with pytest.raises(PrecheckFailed, match="olga stopped all experiments"):
                await desk.request(kind, asked, Submission(confirm="orders"))
        await open_switch(store, CLOCK, ADMIN, "over")
    assert (await installation.run("chaos.run", freeze(1))).state is OperationState.SUCCEEDED


async def test_who_may_turn_it_and_with_which_words(installation: Installation) -> None:
    async with installation.desk(), installation.application.open_store() as store:
        assert not (await read_switch(store)).is_closed
        with pytest.raises(Denied, match="vic may not operate"):
            await close_switch(store, CLOCK, VIEWER, "x")
        with pytest.raises(UsageError, match="1 to 500 characters"):
            await close_switch(store, CLOCK, OPERATOR, " ")
        await close_switch(store, CLOCK, OPERATOR, "drill\x1b[31m")
        with pytest.raises(Denied, match="olga may not administer"):
            await open_switch(store, CLOCK, OPERATOR, "x")
        assert "\x1b" not in (await read_switch(store)).words
        await open_switch(store, CLOCK, ADMIN, "over")
        assert not (await read_switch(store)).is_closed


async def test_runs_are_kept_with_the_question_that_they_answer(installation: Installation) -> None:
    for _ in range(2):
        await installation.run("chaos.run", freeze(1))
    async with installation.application.open_store() as store, store.read() as connection:
        newest, before = await list_runs(connection, cluster="orders")
        assert (newest.state, newest.entry) == (RunState.HELD, "replica-lag")
        assert newest.on_at is not None
        assert newest.off_at is not None
        assert newest.observed["settled_at"]
        found = await previous_run(connection, newest)
        assert found is not None
        assert found.id == before.id
        with pytest.raises(UsageError, match="too short"):
            await find_run(connection, "ab")
        with pytest.raises(UsageError, match="no experiment"):
            await find_run(connection, "zzzzzzzz")
