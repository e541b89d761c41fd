"""SLIs that are the answer of a query: freshness, age of the last backup, checks that passed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from dbre.capabilities.slo.counting import CountedSlot, CountSink
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.polling.answer import answer_counts
from dbre.capabilities.slo.polling.state import PolledSource
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sources import SqlSource
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Address, Cluster, EndpointPurpose, Fleet
from dbre.core.pool import PoolBusy
from dbre.ports.engine import Access, Engine, EngineRegistry, Server, Timeouts
from dbre.ports.session import Role

__all__ = ["SqlPoller"]

_BAD, _MISSED, _EXCLUDED = Counts(bad=1), Counts(missed=1), Counts(excluded=1)
_MOST_MISSED = 1_000  # events that are made up for at once, after this process stood still
_TIMEOUTS = Timeouts(connect_seconds=2.0, statement_seconds=5.0, lock_seconds=0.5)
_AT_ONCE = 20  # queries of this process that run at the same time

_log = structlog.get_logger(__name__)


class SqlPoller:
    """Asks the query of every SLO with such a source, each at its interval, on every cluster that it selects."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        fleet: Fleet,
        *,
        engines: EngineRegistry,
        sink: CountSink,
        clock: Clock,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._asked = [
            _Asked(SloInstance(definition=one, cluster=cluster), one.sli.source, engines.get(cluster.engine), timeouts)
            for one in definitions
            if isinstance(one.sli.source, SqlSource)
            for cluster in fleet.select(one.selector)
        ]

    @property
    def sources(self) -> tuple[PolledSource, ...]:
        """How each is doing."""
        return tuple(one.state for one in self._asked)

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._sink.wait_until_started()
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._asked:
                    group.create_task(self._keep(one))
                await asyncio.Event().wait()
        finally:
            for one in self._asked:
                await one.aclose()

    async def ask_once(self) -> None:
        """Ask every query once, now; for tests and for a first look."""
        for one in self._asked:
            await self._ask(one, self._clock.now())
            await one.aclose()

    async def _keep(self, one: "_Asked") -> None:
        interval = one.source.interval_seconds
        # Spread over the interval by name, so that a hundred queries do not begin in the same second.
        offset = sum(one.instance.id.encode()) % interval
        due = (int(self._clock.now().timestamp()) - offset) // interval + 1
        while True:
            at = datetime.fromtimestamp(due * interval + offset, UTC)
            await self._clock.sleep((at - self._clock.now()).total_seconds())
            async with self._free:
                await self._ask(one, at)
            following = (int(self._clock.now().timestamp()) - offset) // interval + 1
            self._make_up(one, range(due + 1, following)[-_MOST_MISSED:], interval, offset)
            due = max(following, due + 1)

    def _make_up(self, one: "_Asked", missed: range, interval: int, offset: int) -> None:
        slots = [slot_at(datetime.fromtimestamp(due * interval + offset, UTC)) for due in missed]
        name, cluster = one.state.slo, one.state.cluster
        if slots:
            self._sink.take([CountedSlot(name, cluster, "", slot, _MISSED) for slot in slots])

    async def _ask(self, one: "_Asked", at: datetime) -> None:
        counts = await one.ask()
        self._sink.take([CountedSlot(one.state.slo, one.state.cluster, "", slot_at(at), counts)])
        one.state.counted_until = at
        if one.state.error is None:
            self._sink.heard(one.state.slo, one.state.cluster)


class _Asked:
    """One query on one cluster, over the endpoint that takes writes where there is one, else another."""

    def __init__(self, instance: SloInstance, source: SqlSource, engine: Engine, timeouts: Timeouts) -> None:
        self.instance = instance
        self.source = source
        self._engine = engine
        self._timeouts = timeouts
        self._server: Server | None = None
        self.state = PolledSource(
            slo=instance.definition.name, cluster=instance.cluster.name, kind="sql", where=instance.cluster.name
        )

    async def ask(self) -> Counts:
        """The events of this moment. A database that does not answer is bad; what is our own fault is no valid event."""
        try:
            counts = answer_counts(await self._row(), self.source.limit)
        except DbreError as error:
            self._note(error)
            await self.aclose()  # the next question looks for the primary again
            if isinstance(error, PoolBusy):
                return _MISSED
            return _BAD if isinstance(error, Unreachable) else _EXCLUDED
        self._note(None)
        return counts

    async def _row(self) -> Mapping[str, object]:
        if self._server is None:
            self._server = await self._primary()
        return await self._server.session.read_row(self.source.query)

    async def _primary(self) -> Server:
        """The first address that is a primary; of several that are replicas, the first that answers."""
        addresses, second, failure = _addresses(self.instance.cluster), None, None
        for address in addresses:
            server = self._engine.connect(_access(self.instance, address, self._timeouts))
            self.state.where = str(address)
            if len(addresses) == 1:
                return server
            try:
                identity = await server.session.identify()
            except DbreError as error:
                failure = error
            else:
                if identity.role is Role.PRIMARY:
                    if second is not None:
                        await second.aclose()
                    return server
                if second is None:
                    second = server
                    continue
            await server.aclose()
        if second is not None:
            return second
        raise failure or Unreachable(f"cluster {self.instance.cluster.name} has no endpoint to ask a query at")

    def _note(self, error: DbreError | None) -> None:
        message = None if error is None else error.message
        if message != self.state.error:
            names = {"slo": self.state.slo, "cluster": self.state.cluster}
            if error is not None:
                _log.warning("slo_source_failed", **names, error=error.message, hint=error.hint)
            else:
                _log.info("slo_source_recovered", **names)
        self.state.error = message

    async def aclose(self) -> None:
        """Close the connections; the next question opens them again."""
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()


def _addresses(cluster: Cluster) -> tuple[Address, ...]:
    for purpose in (EndpointPurpose.WRITE, EndpointPurpose.READ, EndpointPurpose.REPLICA):
        endpoint = cluster.endpoint(purpose)
        if endpoint is not None:
            return endpoint.addresses
    return ()


def _access(instance: SloInstance, address: Address, timeouts: Timeouts) -> Access:
    name = f"dbre:sli-{instance.definition.name}"
    return Access.to(instance.cluster, address, timeouts=timeouts, application_name=name)
