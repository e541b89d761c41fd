"""Asks the servers of a cluster when an incident opens there, and writes what they say into its timeline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dbre.capabilities.incident.errors import NoSuchIncident
from dbre.capabilities.incident.incidents_document import PlaybookDocument, PlaybookStep
from dbre.capabilities.incident.ledger import Entry, Ledger
from dbre.capabilities.incident.model import Incident, TimelineKind
from dbre.capabilities.incident.playbooks.findings import (
    PRIMARY,
    of_activity,
    of_identity,
    of_replication,
    of_sessions,
    of_settings,
)
from dbre.capabilities.incident.repository import find_incident
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.events import Event, Subscription
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.store import Store
from dbre.core.text import counted, one_line
from dbre.ports.contact import CONCURRENT_SERVERS, LIMIT_SECONDS, contact
from dbre.ports.engine import EngineRegistry, Server

__all__ = ["Answer", "Triage", "ask_cluster", "playbooks_for"]

_SESSIONS = 20
_MOST_INSTANCES = 64  # of one cluster; more would wait longer than an answer is worth
_SECONDS = 120.0
_EVERYTHING = PlaybookDocument(name="triage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one instance said to one step; ``lines`` that begin with ``finding:`` want to be looked at."""

    instance: str
    step: str
    lines: tuple[str, ...]
    is_failed: bool = False


def playbooks_for(playbooks: Sequence[PlaybookDocument], incident: Incident, cluster: Cluster) -> Sequence[PlaybookDocument]:
    """The playbooks for an incident on a cluster; where none is configured at all, one that asks everything."""
    if not playbooks:
        return (_EVERYTHING,)
    labels = {"cluster": cluster.name, "environment": cluster.environment, "engine": cluster.engine, **cluster.labels}
    return [
        one
        for one in playbooks
        if all(labels.get(key) == value for key, value in one.selector.items()) and (not one.slos or incident.slo in one.slos)
    ]


class Triage:
    """Handles incidents that open. What it finds comes in one line for each instance, with the answers as its details."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        engines: EngineRegistry,
        clock: Clock,
        playbooks: Sequence[PlaybookDocument],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._engines = engines
        self._clock = clock
        self._playbooks = tuple(playbooks)
        self._ledger = Ledger(clock)

    def subscription(self) -> Subscription:
        """What the control plane delivers to it."""
        kinds = ("incident.opened", "incident.reopened")
        return Subscription(name="incident-triage", kinds=kinds, handler=self, timeout_seconds=_SECONDS)

    async def __call__(self, event: Event) -> None:
        """Run the playbooks of the incident that the event tells of."""
        try:
            async with self._store.read() as connection:
                incident = await find_incident(connection, UUID(str(event.data.get("incident_id"))))
        except (ValueError, NoSuchIncident):
            return
        cluster = next((one for one in self._fleet.clusters if one.name == incident.cluster), None)
        if cluster is None or not incident.is_open:
            return  # nothing to ask, or over before anybody could be asked
        for playbook in playbooks_for(self._playbooks, incident, cluster):
            answers = await ask_cluster(self._engines, cluster, playbook.steps)
            await self._attach(incident, playbook, answers, key=f"{event.id}/{playbook.name}")

    async def _attach(self, incident: Incident, playbook: PlaybookDocument, answers: Sequence[Answer], *, key: str) -> None:
        entries = [_entry(playbook, name, answers, key=f"{key}/{name}") for name in dict.fromkeys(a.instance for a in answers)]
        if playbook.runbook:
            text = one_line(f"playbook {playbook.name}: {playbook.runbook}", limit=600)
            entries.append(Entry(text=text, kind=TimelineKind.PLAYBOOK, at=self._clock.now(), key=f"{key}/runbook"))
        async with self._store.begin() as connection:
            for entry in entries:
                await self._ledger.record(connection, incident.id, entry)


def _entry(playbook: PlaybookDocument, instance: str, answers: Sequence[Answer], *, key: str) -> Entry:
    own = [one for one in answers if one.instance == instance]
    findings = [line.removeprefix("finding: ") for one in own for line in one.lines if line.startswith("finding: ")]
    findings += [line for one in own if one.is_failed for line in one.lines]
    said = "; ".join(dict.fromkeys(findings)) or "nothing unusual"
    details: Mapping[str, Any] = {"instance": instance, "steps": {one.step: list(one.lines) for one in own}}
    text = one_line(f"playbook {playbook.name} on {instance}: {said}", limit=1_000)
    return Entry(text=text, kind=TimelineKind.PLAYBOOK, key=key[:200], details=details)


async def ask_cluster(engines: EngineRegistry, cluster: Cluster, steps: Sequence[PlaybookStep]) -> Sequence[Answer]:
    """The answers of every instance, in the order of the inventory; one that does not answer says so in its place."""
    gate = asyncio.Semaphore(CONCURRENT_SERVERS)

    async def one(instance: Instance) -> Sequence[Answer]:
        async with gate:
            return await _ask(engines, cluster, instance, steps)

    asked = cluster.instances[:_MOST_INSTANCES]
    answers = [answer for found in await asyncio.gather(*map(one, asked)) for answer in found]
    primaries = [one.instance for one in answers if one.step == "identity" and PRIMARY in one.lines]
    if len(primaries) > 1:
        said = f"finding: several instances say that they are primary: {', '.join(primaries)}"
        answers.append(Answer(instance=cluster.name, step="roles", lines=(said,)))
    if len(cluster.instances) > len(asked):
        left = counted(len(cluster.instances) - len(asked), "instance")
        answers.append(Answer(instance=cluster.name, step="limit", lines=(f"{left} more were not asked",), is_failed=True))
    return answers


async def _ask(
    engines: EngineRegistry, cluster: Cluster, instance: Instance, steps: Sequence[PlaybookStep]
) -> Sequence[Answer]:
    answers: list[Answer] = []
    try:
        async with contact(engines, cluster, instance.address, purpose="triage") as server:
            for step in steps:
                answers.append(await _step(server, instance, step))
                if answers[-1].is_failed and step == "identity":
                    break  # it does not answer at all: every other question would only wait
    except DbreError as error:
        answers.append(_failed(instance, "contact", error))
    return answers


async def _step(server: Server, instance: Instance, step: PlaybookStep) -> Answer:
    try:
        async with asyncio.timeout(LIMIT_SECONDS / 2):
            lines = await _QUESTIONS[step](server)
    except TimeoutError:
        return Answer(
            instance=instance.name, step=step, lines=(f"{step}: no answer within {LIMIT_SECONDS / 2:.1f} s",), is_failed=True
        )
    except DbreError as error:
        return _failed(instance, step, error)
    return Answer(instance=instance.name, step=step, lines=tuple(lines))


def _failed(instance: Instance, step: str, error: DbreError) -> Answer:
    return Answer(instance=instance.name, step=step, lines=(one_line(f"{step}: {error.message}"),), is_failed=True)


async def _identity(server: Server) -> list[str]:
    return of_identity(await server.session.identify(), now=datetime.now(UTC))


async def _activity(server: Server) -> list[str]:
    return of_activity(await server.activity.summary())


async def _sessions(server: Server) -> list[str]:
    return of_sessions(await server.activity.sessions(limit=_SESSIONS))


async def _replication(server: Server) -> list[str]:
    return of_replication(await server.replication.status())


async def _settings(server: Server) -> list[str]:
    return of_settings(await server.settings.list())


_QUESTIONS: Mapping[PlaybookStep, Callable[[Server], Awaitable[list[str]]]] = {
    "identity": _identity,
    "activity": _activity,
    "sessions": _sessions,
    "replication": _replication,
    "settings": _settings,
}
