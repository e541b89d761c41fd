"""Primaries that were standbys before: each of them has recovered, been promoted, and gone on alone, more than once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rejoin_kit import Rejoiner, diverge, entries, forkable, ground_of, receives, results

from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.engines.postgres.standby_files import make_follower
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def followed_by_hand(lost: PostgresServer, kept: PostgresServer, timeline: int) -> None:
    """Somebody starts it as a standby without looking: it fetches the new history, which it has gone past."""
    make_follower(lost.data_directory, lost.site.account, Secret(kept.conninfo()), None)
    await lost.start()
    end = time.monotonic() + 60
    while not (lost.data_directory / "pg_wal" / f"{timeline:08X}.history").is_file():
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    await lost.stop()


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_each_of_a_pair_loses_its_place_in_turn_and_its_lost_writes_are_kept(
    lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forkable(lab_site, "turns") as pair:
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")
        servers = {"n1": pair.primary, "n2": pair.replica}
        for timeline, (lost, kept) in enumerate([("n1", "n2"), ("n2", "n1"), ("n1", "n2")], start=2):
            await diverge(servers[lost], servers[kept], rows=timeline)
            await followed_by_hand(servers[lost], servers[kept], timeline)
            record = await rejoiner.rejoin(lost)
            assert record.state is OperationState.SUCCEEDED, record.error
            found = results(record)
            assert found["evidence"]["transactions"] == 1
            _, *rows = map(json.loads, Path(found["evidence"]["file"]).read_text().splitlines())
            assert len(rows) == timeline
            await receives(servers[lost], timeline)
            assert "lost 1" not in await entries(servers[lost])
