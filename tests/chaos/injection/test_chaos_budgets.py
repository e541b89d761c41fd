"""What ends an experiment by its SLOs: what they say, and that nobody can hear them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from injection_kit import ENGINES

from dbre.capabilities.chaos.breaches import Breach, Budgets
from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.surroundings import Around, BackupWord, Burn, HealthWord
from dbre.core.errors import Unreachable
from dbre.core.fleet import Fleet
from dbre.testing.clock import FakeClock

CALM, PAGING = (Burn(rate=rate, is_paging=rate > 1, remaining=0.9) for rate in (0.5, 20.0))
AWAY = Unreachable("the state store with the SLOs is away")
EXPERIMENT = {"cluster": "orders", "faults": [{"fault": "freeze", "instance": "one"}]}


class Said:
    """Implements ``Surroundings``: what SLOs say now; None: nobody can read them."""

    def __init__(self, burns: Mapping[str, Burn] | None, error: Exception = AWAY) -> None:
        self.now, self.error = burns, error

    async def burns(self, cluster: str) -> Mapping[str, Burn]:  # noqa: ARG002 - there is one
        if self.now is None:
            raise self.error
        return self.now

    async def incidents(self, cluster: str) -> Any:
        raise NotImplementedError(cluster)

    async def backups(self, cluster: str) -> BackupWord:
        raise NotImplementedError(cluster)

    async def health(self, cluster: str) -> HealthWord:
        raise NotImplementedError(cluster)

    async def bereft(self, cluster: str) -> Any:
        raise NotImplementedError(cluster)

    async def around(self, cluster: str, *, since: Any, until: Any) -> Around:
        raise NotImplementedError(cluster, since, until)


@asynccontextmanager
async def watching(said: Said, clock: FakeClock, path: Path) -> AsyncIterator["asyncio.Task[Breach]"]:
    ground = ChaosGround(fleet=Fleet(clusters=()), engines=ENGINES, clock=clock, directory=path, program=(), surroundings=said)
    task = asyncio.create_task(Budgets(ground, Experiment.model_validate(EXPERIMENT)).watch())
    try:
        await clock.advance(1.0)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("first", [{}, {"writes": CALM}, None], ids=["no SLO", "an SLO that is well", "nobody reads them"])
async def test_an_slo_that_begins_to_page_ends_it(tmp_path: Path, first: Mapping[str, Burn] | None) -> None:
    said, clock = Said(first), FakeClock()
    async with watching(said, clock, tmp_path) as task:
        assert not task.done()
        said.now = {"writes": PAGING}
        await clock.advance(0.5)
        assert task.result() == Breach("writes pages", is_finding=True)


async def test_one_that_paged_before_is_of_something_else_until_it_begins_again(tmp_path: Path) -> None:
    said, clock = Said({"writes": PAGING}), FakeClock()
    async with watching(said, clock, tmp_path) as task:
        await clock.advance(30.0)
        assert not task.done()
        said.now = {"writes": CALM}
        await clock.advance(1.0)
        said.now = {"writes": PAGING}
        await clock.advance(0.5)
        assert task.result().reason == "writes pages"


@pytest.mark.parametrize("error", [AWAY, TimeoutError()], ids=["an error", "no answer in time"])
@pytest.mark.parametrize("first", [{"writes": CALM}, None], ids=["they could be read", "they never could"])
async def test_who_cannot_see_ends_it_after_a_minute(
    tmp_path: Path, first: Mapping[str, Burn] | None, error: Exception
) -> None:
    said, clock = Said(first, error), FakeClock()
    async with watching(said, clock, tmp_path) as task:
        said.now = None
        await clock.advance(50.0)
        assert not task.done()
        said.now = {"writes": CALM}
        await clock.advance(1.0)
        said.now = None
        await clock.advance(58.0)
        assert not task.done(), "it was read meanwhile"
        await clock.advance(3.0)
        assert "for 1m" in task.result().reason
