"""The switchover that would be done now is known before anybody asks for it, with what is in its way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from switchover_kit import Walker, controlled, ground_of, until

from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.switchover.forecast import NextSwitchover, next_switchover
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def pair_ground(pair: PostgresPair, store: Store) -> SwitchoverGround:
    fleet = controlled("postgresql", {"n1": pair.primary, "n2": pair.replica})
    return ground_of(fleet, limits={"max_transaction": "1s"}, store=store)


async def look(ground: SwitchoverGround) -> NextSwitchover:
    cluster = ground.fleet.cluster("shop")
    return await next_switchover(ground, cluster, seen=await read_lag(ground.engines, ground.fleet, cluster))


async def test_whom_how_long_and_what_is_in_the_way(postgres_pair: PostgresPair, store: Store) -> None:
    ground = pair_ground(postgres_pair, store)
    first = await look(ground)
    assert (first.may_be, first.primary, first.candidate, first.timing) == (True, "n1", "n2", None)
    assert first.lines()[1] == "  no writes: not measured on this cluster yet; loss: none"
    async with await postgres_pair.primary.connect() as client:
        await client.set_autocommit(False)
        await client.execute("SELECT 1")

        async def is_in_the_way() -> bool:
            found = await look(ground)
            return [one.rule for one in found.in_the_way] == ["no_long_transactions"] and not found.may_be

        await until(is_in_the_way)
        found = await look(ground)
        assert (found.lines()[0], found.document()["predicted_loss_bytes"]) == (
            "next switchover: not now, 1 check in the way",
            None,
        )
    record = await Walker(store=store, ground=ground).switch(to="n2")
    assert record.state is OperationState.SUCCEEDED, record.error
    back = await look(ground)
    assert (back.primary, back.candidate) == ("n2", "n1")
    assert back.timing is not None
    assert back.document()["predicted_seconds"] == back.timing.seconds


async def test_without_a_replica_that_answers_it_says_so(postgres_pair: PostgresPair, store: Store) -> None:
    ground = pair_ground(postgres_pair, store)
    await postgres_pair.replica.stop()
    found = await look(ground)
    assert (found.may_be, found.candidate) == (False, None)
    assert "candidate_exists" in {one.rule for one in found.in_the_way}


async def test_who_hangs_holds_up_nobody(postgres_pair: PostgresPair, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = pair_ground(postgres_pair, store)
    cluster = ground.fleet.cluster("shop")
    seen = await read_lag(ground.engines, ground.fleet, cluster)
    monkeypatch.setattr("dbre.capabilities.ha.switchover.forecast._LIMIT_SECONDS", 0.5)
    await postgres_pair.replica.freeze()
    try:
        found = await asyncio.wait_for(next_switchover(ground, cluster, seen=seen), timeout=60)
    finally:
        await postgres_pair.replica.thaw()
    assert found.error == "not everybody answered within 500ms"
    assert found.lines() == ("next switchover: not known: not everybody answered within 500ms",)
