"""Reading what preflight checks are about: everything at once, each within its own time, none able to fail the others."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.faults.exhausting import EXHAUSTION
from dbre.capabilities.chaos.injection.model import Phase
from dbre.capabilities.chaos.injection.record import read_records
from dbre.capabilities.chaos.preflight.model import Facts, Places
from dbre.capabilities.chaos.runs.model import Run
from dbre.capabilities.chaos.runs.repository import list_runs
from dbre.capabilities.chaos.surroundings import IncidentWord, Surroundings
from dbre.capabilities.chaos.switching.switch import read_switch
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation import tables
from dbre.core.operation.lock_conflict import ancestors_of
from dbre.core.operation.states import OperationState
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.contact import contact

__all__ = ["gather", "roles_of"]

_SECONDS = 20.0  # of all questions about one fact
_AT_WORK = (
    OperationState.RUNNING,
    OperationState.VERIFYING,
    OperationState.COMPENSATING,
    OperationState.PAUSED,
    OperationState.NEEDS_OPERATOR,
)
_MOST = 20
_SLOT = timedelta(seconds=20)  # bad events are counted by slots: what an experiment made may seem to have begun before
_AFTERMATH = timedelta(minutes=2)
Found = TypeVar("Found")


async def roles_of(ground: ChaosGround, cluster: Cluster, purpose: str) -> dict[str, str | None]:
    """What each instance says of itself; None where it does not answer."""

    async def one(instance: Instance) -> str | None:
        try:
            async with contact(ground.engines, cluster, instance.address, purpose=purpose) as server:
                return (await server.session.identify()).role.value
        except DbreError:
            return None

    said = await asyncio.gather(*(one(instance) for instance in cluster.instances))
    return {instance.name: answer for instance, answer in zip(cluster.instances, said, strict=True)}


async def gather(
    ground: ChaosGround,
    experiment: Experiment,
    *,
    answers: Mapping[str, str | None],
    own: Collection[UUID] = (),
    is_plan: bool = False,
) -> Facts:
    """All facts about an experiment's cluster. ``own`` are operations that are part of the experiment itself.

    While a plan is made nobody knows yet whose part it will be, and its beginning heals what is left over: neither is read.
    """
    cluster, name, reading = ground.fleet.cluster(experiment.cluster), experiment.cluster, _Reading()
    around, store = ground.surroundings, ground.store
    switch = reading.begin("switch", read_switch(store) if store is not None else None)
    health = reading.begin("health", around.health(name) if around is not None else None)
    backups = reading.begin("backups", around.backups(name) if around is not None else None)
    incidents = reading.begin("incidents", _incidents(around, store, name) if around is not None else None)
    burns = reading.begin("budgets", around.burns(name) if around is not None else None)
    others = reading.begin("operations", _others(store, name, own) if store is not None and not is_plan else None)
    places = reading.begin("places", _places(ground, experiment, cluster))
    left = reading.begin("leftovers", None if is_plan else _leftovers(ground, name, own))
    await asyncio.gather(switch, health, backups, incidents, burns, others, places, left)
    return Facts(
        now=ground.clock.now(),
        answers=answers,
        switch=switch.result(),
        health=health.result(),
        backups=backups.result(),
        incidents=incidents.result(),
        burns=burns.result(),
        operations=others.result() or (),
        places=places.result() or {},
        leftovers=left.result() or (),
        unknown=reading.unknown,
    )


class _Reading:
    """Questions that are asked at once; what has no answer is remembered with the reason."""

    def __init__(self) -> None:
        self.unknown: dict[str, str] = {}

    def begin(self, name: str, asked: Coroutine[Any, Any, Found] | None) -> "asyncio.Task[Found | None]":
        return asyncio.create_task(self._known(name, asked))

    async def _known(self, name: str, asked: Coroutine[Any, Any, Found] | None) -> Found | None:
        if asked is None:
            return None
        try:
            async with asyncio.timeout(_SECONDS):
                return await asked
        except UsageError:
            raise  # a wrong configuration is no lack of knowledge
        except TimeoutError:
            self.unknown[name] = f"no answer within {_SECONDS:.0f} s"
        except DbreError as error:
            self.unknown[name] = printable(error.message, limit=200)
        return None


async def _incidents(around: Surroundings, store: Store | None, cluster: str) -> Sequence[IncidentWord]:
    """Those that no experiment made: they began neither while faults were on nor soon after."""
    found = await around.incidents(cluster)
    if not found or store is None:
        return found
    async with store.read() as connection:
        runs = await list_runs(connection, cluster=cluster, limit=_MOST)
    return [one for one in found if not any(_made(run, one.started_at) for run in runs)]


def _made(run: Run, at: datetime) -> bool:
    begin, end = run.on_at, run.off_at or run.ended_at
    return begin is not None and end is not None and begin - _SLOT <= at <= end + _AFTERMATH


async def _others(store: Store, cluster: str, own: Collection[UUID]) -> list[str]:
    """Operations at work on the cluster or a part of it, those left out that the experiment is part of."""
    row, target = tables.operation.c, f"cluster/{cluster}"
    is_there = row.target_key.in_(ancestors_of(target)) | row.target_key.startswith(f"{target}/", autoescape=True)
    wanted = select(row.id, row.parent_id, row.kind, row.state).where(row.state.in_([one.value for one in _AT_WORK]), is_there)
    async with store.read() as connection:
        found = (await connection.execute(wanted)).all()
    parents, mine = {one.id: one.parent_id for one in found}, set(own)
    for one in own:
        above = parents.get(one)
        while above is not None and above not in mine:
            mine.add(above)
            above = parents.get(above)
    return [f"{one.kind} {one.id} is {one.state.replace('_', ' ')}" for one in found if one.id not in mine][:_MOST]


async def _places(ground: ChaosGround, experiment: Experiment, cluster: Cluster) -> dict[str, Places]:
    taken = {one.instance for one in experiment.faults if one.fault == EXHAUSTION.name}
    found = {}
    for instance in cluster.instances:
        if instance.name in taken:
            async with contact(ground.engines, cluster, instance.address, purpose="dbre:chaos:preflight") as server:
                summary = await server.activity.summary()
            found[instance.name] = Places(used=sum(summary.sessions_by_state.values()), most=summary.max_sessions)
    return found


async def _leftovers(ground: ChaosGround, cluster: str, own: Collection[UUID]) -> list[str]:
    records = await asyncio.to_thread(read_records, ground.directory)
    mine = {str(one) for one in own}
    return [
        f"{one.fault} on {one.instance} is {one.phase.value}"
        for one in records
        if one.cluster == cluster and one.operation not in mine and one.phase in (Phase.ARMED, Phase.ON)
    ]
