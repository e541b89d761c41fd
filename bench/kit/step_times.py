"""Where the time of operations went: what each step took by its journal, and what passed between steps."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from kit.two_servers import quantile

from dbre.core.clock import SystemClock
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.reading import load
from dbre.core.operation.states import StepPhase
from dbre.core.store import open_store

_MOST = 100


async def step_milliseconds(store_file: Path, kind: str) -> dict[str, int]:
    """Medians over the newest operations of a kind; ``A > B`` is the journal's part between the end of A and the begin of B."""
    found: dict[str, list[float]] = defaultdict(list)
    async with open_store(f"sqlite:///{store_file}", clock=SystemClock()) as store, store.read() as connection:
        for one in await list_operations(connection, OperationFilter(kind=kind, limit=_MOST), may_see=lambda _: True):
            steps = [step for step in (await load(connection, one.id)).steps if step.phase is StepPhase.DO and step.ended_at]
            for step in steps:
                assert step.ended_at is not None
                found[step.name].append((step.ended_at - step.started_at).total_seconds())
            for before, after in pairwise(steps):
                assert before.ended_at is not None
                found[f"{before.name} > {after.name}"].append((after.started_at - before.ended_at).total_seconds())
    return {name: round(quantile(seconds, 0.5) * 1000) for name, seconds in found.items()}
