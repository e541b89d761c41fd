"""Reports and scores read from the state store; surroundings that may still change are read anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.runs.around import collect
from dbre.capabilities.chaos.runs.model import Run
from dbre.capabilities.chaos.runs.report import report_of
from dbre.capabilities.chaos.runs.repository import find_run, list_runs, previous_run
from dbre.capabilities.chaos.runs.score import ClusterScore, EntryScore, cluster_score
from dbre.core.store import Store

__all__ = ["read_report", "read_score", "score_document"]

_RUNS = 500  # of one cluster: more than a year of weekly suites


async def read_report(ground: ChaosGround, store: Store, run_id: str) -> dict[str, Any]:
    """The report of one run. Raises: NoSuchRun; a StoreError."""
    async with store.read() as connection:
        run = await find_run(connection, run_id)
        previous = await previous_run(connection, run)
    return report_of(await _with_surroundings(ground, run), previous)


async def read_score(ground: ChaosGround, store: Store, cluster: str) -> ClusterScore:
    """The score of one cluster now."""
    async with store.read() as connection:
        runs = await list_runs(connection, cluster=cluster, limit=_RUNS)
    return cluster_score(cluster, runs, ground.clock.now())


def score_document(score: ClusterScore) -> dict[str, Any]:
    """As JSON."""
    return {
        "cluster": score.cluster,
        "score_points": score.value,
        "coverage_ratio": score.coverage,
        "half_width_points": score.half_width,
        "entries": [_entry(one) for one in score.entries],
    }


def _entry(one: EntryScore) -> Mapping[str, Any]:
    runs: Sequence[Run] = one.runs
    return {
        "entry": one.entry.name,
        "question": one.entry.question,
        "weight": one.entry.weight,
        "value_ratio": one.value,
        "runs": len(runs),
        "last_run": str(runs[0].id) if runs else None,
        "age_days": one.age_days,
        "fade_ratio": one.fade,
        "half_width_ratio": one.half_width,
    }


async def _with_surroundings(ground: ChaosGround, run: Run) -> Run:
    if run.is_final or ground.surroundings is None:
        return run
    return replace(run, surroundings=await collect(ground.surroundings, run, ground.clock.now()))
