"""Counters of a Prometheus, counted slot by slot: also those of the time in which dbre or the Prometheus was away."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from dbre.capabilities.slo.counting import CountedSlot, CountSink, SourceMark
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.polling.documents import PrometheusDocument
from dbre.capabilities.slo.polling.expression import for_cluster
from dbre.capabilities.slo.polling.increase import CounterPair, Excess, ReadSeries
from dbre.capabilities.slo.polling.state import PolledSource
from dbre.capabilities.slo.series import SLOT_SECONDS
from dbre.capabilities.slo.sources import PrometheusSource
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Fleet
from dbre.core.text import closest
from dbre.tools.prometheus import PrometheusClient, Series, ServerAccess

__all__ = ["PrometheusPoller", "polled_by_prometheus"]

_CHUNK_SECONDS = 3_600  # of one question when much is to be counted: 361 points a series
_MEMORY_SECONDS = 3_600  # a series that is away for longer counts as a new one after a start
_MEMORY_STEP_SECONDS = 60
_AT_ONCE = 4  # questions to one server

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Polled:
    instance: SloInstance
    source: PrometheusSource
    server: PrometheusDocument


def polled_by_prometheus(
    definitions: Sequence[Definition], fleet: Fleet, servers: Sequence[PrometheusDocument]
) -> list[tuple[SloInstance, PrometheusSource, PrometheusDocument]]:
    """Every SLO of a Prometheus on every cluster that it selects. Raises: UsageError for a server that is not configured."""
    known = {one.name: one for one in servers}
    found = []
    for definition in definitions:
        source = definition.sli.source
        if not isinstance(source, PrometheusSource):
            continue
        if source.prometheus not in known:
            near = closest(source.prometheus, list(known))
            raise UsageError(
                f"SLO {definition.name} asks the server {source.prometheus}, which the section prometheus does not have",
                hint=f"did you mean {near}?" if near else "add it under `prometheus` in dbre.yaml: name, url",
            )
        found += [
            (SloInstance(definition=definition, cluster=cluster), source, known[source.prometheus])
            for cluster in fleet.select(definition.selector)
        ]
    return found


class PrometheusPoller:
    """Asks for the counters of every SLO with such a source, each at its server's interval."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        fleet: Fleet,
        servers: Sequence[PrometheusDocument],
        *,
        sink: CountSink,
        clock: Clock,
    ) -> None:
        self._clients = {one.name: PrometheusClient(_access(one)) for one in servers}
        self._free = {one.name: asyncio.Semaphore(_AT_ONCE) for one in servers}
        self._sink = sink
        self._clock = clock
        self._counters = [
            _Counting(_Polled(*one), self._clients[one[2].name], sink, clock)
            for one in polled_by_prometheus(definitions, fleet, servers)
        ]

    @property
    def sources(self) -> tuple[PolledSource, ...]:
        """How each is doing."""
        return tuple(one.state for one in self._counters)

    async def run(self) -> None:
        """Poll until cancelled."""
        await self._sink.wait_until_started()
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._counters:
                    group.create_task(self._keep(one))
                await asyncio.Event().wait()
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def poll_once(self) -> None:
        """Count everything that can be counted now; for tests and for a first look."""
        await self._sink.wait_until_started()
        for one in self._counters:
            await one.poll()

    async def _keep(self, one: "_Counting") -> None:
        interval = one.polled.server.interval.total_seconds()
        while True:
            async with self._free[one.polled.server.name]:
                await one.poll()
            await self._clock.sleep(interval)


def _access(document: PrometheusDocument) -> ServerAccess:
    return ServerAccess(
        url=document.url,
        timeout_seconds=document.timeout.total_seconds(),
        token=document.token.secret() if document.token else None,
        user=document.user,
        password=document.password.secret() if document.password else None,
        tls_ca_file=document.tls_ca_file,
    )


class _Counting:
    """One SLO on one cluster."""

    def __init__(self, polled: _Polled, client: PrometheusClient, sink: CountSink, clock: Clock) -> None:
        self.polled = polled
        self._client = client
        self._sink = sink
        self._clock = clock
        definition, cluster = polled.instance.definition, polled.instance.cluster.name
        # The hash: another expression, another server, begins anew, and does not count on where the old one stopped.
        self._mark = f"prometheus/{polled.server.name}/{definition.name}@{cluster}/{definition.sli.hash}"
        self._bad = for_cluster(polled.source.bad, cluster)
        self._total = for_cluster(polled.source.total, cluster)
        self._pair: CounterPair | None = None
        self._until = 0  # Unix seconds: the boundary up to which everything is counted
        self.state = PolledSource(slo=definition.name, cluster=cluster, kind="prometheus", where=polled.server.name)

    async def poll(self) -> None:
        """Count what lies between the last boundary and now, the server's delay left out; trouble is noted and waited out."""
        now = self._clock.now()
        end = _boundary(now) - -(-int(self.polled.server.delay.total_seconds()) // SLOT_SECONDS) * SLOT_SECONDS
        try:
            pair = self._pair or await self._start(end)
            while self._until < end:
                await self._count(pair, min(self._until + _CHUNK_SECONDS, end))
        except DbreError as error:
            self._note(error)
        else:
            self._note(None)

    async def _start(self, end: int) -> CounterPair:
        until, excess = _read(self._sink.stored_position(self._mark))
        oldest = end - int(self.polled.server.backfill.total_seconds()) // SLOT_SECONDS * SLOT_SECONDS
        if until is not None and until < oldest:
            _log.warning("slo_source_gap", **self._names, lost_seconds=oldest - until, hint="raise prometheus.backfill")
        self._until = end if until is None else min(max(until, oldest), end)
        pair = CounterPair(group_label=self.polled.source.group_label, excess=excess)
        memory = range(self._until - _MEMORY_SECONDS, self._until + 1, _MEMORY_STEP_SECONDS)
        pair.prime(await self._ask(self._bad, memory), await self._ask(self._total, memory))
        self._pair = pair
        if until is None:  # so that a restart before the first event counts on from here
            self._sink.take((), mark=SourceMark(self._mark, _written(self._until, pair)))
        return pair

    async def _count(self, pair: CounterPair, end: int) -> None:
        boundaries = range(self._until + SLOT_SECONDS, end + 1, SLOT_SECONDS)
        total = await self._ask(self._total, boundaries)
        bad = await self._ask(self._bad, boundaries)
        name, cluster, before = self.state.slo, self.state.cluster, pair.contradictions
        counted = [
            CountedSlot(name, cluster, group, slot, counts) for slot, group, counts in pair.advance(bad, total, boundaries)
        ]
        self._until = end
        self._sink.take(counted, mark=SourceMark(self._mark, _written(end, pair)))
        if any(end in one.values for one in total):
            self._sink.heard(name, cluster)
        if pair.contradictions > before:
            _log.warning("slo_source_contradicts_itself", **self._names, events=pair.contradictions - before)

    async def _ask(self, expression: str, boundaries: range) -> list[ReadSeries]:
        start, end = (datetime.fromtimestamp(at, UTC) for at in (boundaries[0], boundaries[-1]))
        found = await self._client.range(expression, start=start, end=end, step_seconds=boundaries.step)
        return [_series(one) for one in found]

    def _note(self, error: DbreError | None) -> None:
        message = None if error is None else error.message
        if message != self.state.error:
            if error is not None:
                _log.warning("slo_source_failed", **self._names, error=error.message, hint=error.hint)
            else:
                _log.info("slo_source_recovered", **self._names)
        self.state.error = message
        self.state.counted_until = datetime.fromtimestamp(self._until, UTC) if self._until else None

    @property
    def _names(self) -> dict[str, str]:
        return {"slo": self.state.slo, "cluster": self.state.cluster, "prometheus": self.state.where}


def _boundary(moment: datetime) -> int:
    return int(moment.timestamp()) // SLOT_SECONDS * SLOT_SECONDS


def _series(found: Series) -> ReadSeries:
    labels = {**found.labels, "__name__": found.name}
    return ReadSeries(labels=labels, values={round(at): value for at, value in found.points})


def _written(until: int, pair: CounterPair) -> str:
    excess = {group: [one.events, one.since_slot] for group, one in sorted(pair.excess.items())}
    return json.dumps({"until": until, "excess": excess}, sort_keys=True)


def _read(position: str | None) -> tuple[int | None, Mapping[str, Excess]]:
    if position is None:
        return None, {}
    document: dict[str, Any] = json.loads(position)
    return int(document["until"]), {group: Excess(*one) for group, one in document["excess"].items()}
