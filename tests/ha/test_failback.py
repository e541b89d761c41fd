"""The primary of before becomes it again: one operation whose parts are operations; and what keeps it from it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rejoin_kit import Rejoiner, diverge, entries, forkable, ground_of, receives, results, run

from dbre.capabilities.ha.failback.ground import failback_ground
from dbre.capabilities.ha.failback.operation import FailBack
from dbre.capabilities.ha.rejoin.operation import Rejoin
from dbre.capabilities.ha.switchover.operations.switchover import Switchover
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def failing_back(store: Store, pair: PostgresPair, directory: Path, site: Site) -> Rejoiner:
    ground = ground_of(pair, directory, site)
    kinds = (FailBack(failback_ground(ground, store)), Rejoin(ground), Switchover(ground.servers))
    return Rejoiner(store=store, ground=ground, kinds=kinds, lease="60s")


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_diverged_primary_comes_back_and_is_primary_again(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "back") as pair:
        old, new = pair.primary, pair.replica
        walker = failing_back(store, pair, tmp_path, lab_site)
        with pytest.raises(PrecheckFailed, match="nobody knows who was the primary of shop before n1"):
            await walker.plan(None, clone=True)  # nothing happened yet
        with pytest.raises(PrecheckFailed, match="n1 is the primary of shop already"):
            await walker.plan(None, to="n1")
        await diverge(old, new, rows=2)

        plan = await walker.plan(None)
        assert [one.name for one in plan.steps] == ["rejoin", "wait", "switch"]
        assert "n1 is chosen because it alone does not follow n2" in plan.warnings

        record = await walker.rejoin(None)
        assert record.state is OperationState.SUCCEEDED, record.error
        found = results(record)
        assert found["rejoin"]["way"] == "rewind"
        assert found["rejoin"]["lost_transactions"] == 1
        _, *rows = map(json.loads, Path(found["rejoin"]["lost_writes"]).read_text().splitlines())
        assert [one["row"]["entry"] for one in rows] == ["lost 1", "lost 2"]
        assert found["switch"]["write_gap_seconds"] > 0
        await run(old, "INSERT INTO ledger VALUES ('home')")
        await receives(new, 3)
        assert await entries(old) == ["after", "before", "home"]

        again = await walker.plan(None)  # by the journal it was n2 that gave its place to n1
        assert [one.name for one in again.steps] == ["wait", "switch"]
        assert "n2 is chosen because n1 took over from it last" in again.warnings


@pytest.mark.soak
async def test_of_two_primaries_one_must_give_way_first(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "two") as pair:
        walker = failing_back(store, pair, tmp_path, lab_site)
        await run(pair.replica, "SELECT pg_promote(true, 60)")
        with pytest.raises(PrecheckFailed, match="writes are taken by: n1, n2") as refusal:
            await walker.plan(None)
        assert "dbre ha rejoin shop n1 or dbre ha rejoin shop n2" in str(refusal.value.hint)
