"""How drills of a cluster stand: findings for reviews of the fleet, and what a run that was cut short leaves to be shown."""

import socket
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_drill_rules import RUN, cluster

from dbre.capabilities.ha.config_document import HaClusterDocument, HaDocument
from dbre.capabilities.ha.drills.config_document import DrillDocument
from dbre.capabilities.ha.drills.findings import drill_findings, standings
from dbre.capabilities.ha.drills.measures import RunMeasures
from dbre.capabilities.ha.drills.repository import StoredRun, keep_run
from dbre.capabilities.ha.drills.standing import drill_check
from dbre.capabilities.ha.drills.summary import summaries
from dbre.capabilities.ha.drills.view import done_view
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.prediction import Predicted
from dbre.core.clock import SystemClock
from dbre.core.errors import ExitCode, Unsupported
from dbre.core.store import open_store

NOW = datetime.now(UTC)
LOOK = SimpleNamespace(cluster=cluster(n1="10.0.0.1", n2="10.0.0.2"))


def stored(run: RunMeasures, *, days: float = 1.0, drill: uuid.UUID | None = None) -> StoredRun:
    return StoredRun(operation_id=drill or uuid.uuid4(), cluster="shop", began_at=NOW - timedelta(days=days), run=run)


async def told(directory: Path, document: HaClusterDocument, *runs: StoredRun) -> set[str]:
    async with open_store(f"sqlite:///{directory / 'state.db'}", clock=SystemClock(), migrate=True) as store:
        for one in runs:
            await keep_run(store, one.operation_id, one.cluster, replace(one.run, began_at=one.began_at.isoformat()))
        check = drill_check(store, HaDocument(clusters=(document,)), SystemClock())
        return {one.rule for one in await check.run(LOOK)}


@pytest.mark.parametrize(
    ("drill", "days", "changed", "rules"),
    [
        (None, None, {}, set()),
        (DrillDocument(), None, {}, {"ha.drill_never"}),
        (DrillDocument(), 1.0, {}, set()),
        (None, 100.0, {}, {"ha.drill_old"}),
        (DrillDocument(max_age=timedelta(days=200)), 100.0, {}, set()),
        (None, 1.0, {"lost": 1}, {"ha.drill_problem"}),
    ],
    ids=["never-and-nobody-asks", "never", "fresh", "old", "old-and-allowed", "problem"],
)
async def test_what_a_review_of_the_fleet_tells(
    tmp_path: Path, drill: DrillDocument | None, days: float | None, changed: dict[str, int], rules: set[str]
) -> None:
    document = HaClusterDocument(cluster="shop", drill=drill)
    runs = [stored(replace(RUN, **changed), days=days)] if days is not None else []  # type: ignore[arg-type]
    assert await told(tmp_path, document, *runs) == rules


async def test_a_patroni_that_is_silent_is_told_and_the_rest_with_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    document = HaClusterDocument(cluster="shop", patroni=PatroniDocument(urls=(url,)))
    assert await told(tmp_path, document, stored(RUN, days=100)) == {"ha.drill_promise_unknown", "ha.drill_old"}


async def test_without_a_store_it_can_be_planned_and_not_run() -> None:
    with pytest.raises(Unsupported, match="state store"):
        await drill_check(None, HaDocument(), SystemClock()).run(LOOK)


def test_a_run_that_failed_hides_no_drift() -> None:
    drill = uuid.uuid4()
    failed = replace(RUN, number=2, outage_seconds=None, predicted_most_seconds=None, failure="nobody was promoted")
    now = Predicted(fault="node loss", least_seconds=19.0, most_seconds=40.0, loss="none", why="lease 37 s")
    found = standings([stored(failed, drill=drill), stored(RUN, drill=drill)], {RUN.kind: now})
    rules = [one.rule for one in drill_findings("shop", found, now=NOW, max_age=timedelta(days=90))]
    assert sorted(rules) == ["ha.drill_drift", "ha.drill_problem"]


def test_drills_are_summed_up_whatever_the_order_of_their_runs() -> None:
    old, new = uuid.uuid4(), uuid.uuid4()
    runs = [stored(replace(RUN, number=one, outage_seconds=float(one)), drill=old, days=9) for one in (3, 1, 2)]
    first, second = summaries([*runs, stored(replace(RUN, lost=None), drill=new)])
    assert (first.operation_id, first.unjudged, first.lost) == (new, 1, None)
    assert ([one.number for one in second.runs], second.outages.p50, second.outages.most) == ([1, 2, 3], 2.0, 3.0)


def test_a_run_whose_process_was_killed_is_no_measure() -> None:
    """The operation fails saying so; whoever waits for it elsewhere is shown the runs that were measured."""
    steps = [
        SimpleNamespace(name="run:1", phase="do", result=RUN.document()),
        SimpleNamespace(name="run:2", phase="do", result={"is_interrupted": True, "healed": 1}),
    ]
    record = SimpleNamespace(steps=steps, id=uuid.uuid4(), exit_code=ExitCode.FAILED)
    view = done_view(record)  # type: ignore[arg-type]
    assert ([one["number"] for one in view.items], view.exit_code) == ([1], ExitCode.FAILED)
