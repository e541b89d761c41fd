"""One instance's statistics: collected in the background over one connection, handed to the exposition, never waited for."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from dbre.capabilities.observe.backoff import Backoff
from dbre.capabilities.observe.cleaning import clean_family, clean_label_value
from dbre.capabilities.observe.exposition import Exposition, Source
from dbre.capabilities.observe.model import ExporterDocument
from dbre.capabilities.observe.schedule import spread
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.ports.engine import Access, Engine, Server, Timeouts
from dbre.ports.session import Role
from dbre.ports.statistics import Collector

__all__ = ["InstanceCollection"]

log = structlog.get_logger(__name__)

_TIMEOUT_SHARE = 0.8  # of the interval
_LIVES = 2  # intervals after which a sample is too old to be shown
_SPREAD_SECONDS = 3.0  # the first checks of all instances are spread over this
_CLOSING_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class _CollectorState:
    """What is known of one collector; it outlives the connection, so that its last success stays to be seen."""

    interval: float
    due: float
    is_active: bool = True
    success: bool | None = None
    last_success_at: float | None = None  # wall clock, seconds since 1970
    duration: float | None = None


class InstanceCollection:
    """Checks one instance and runs its collectors, one after the other: there is one connection and no more.

    The check (who are you?) decides ``up``. It comes at a fixed interval, at once after a collector could not reach the
    server, and more rarely from a server that stays away. Nothing runs against a server that is down.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        instance: Instance,
        engine: Engine,
        clock: Clock,
        settings: ExporterDocument,
        exposition: Exposition,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._exposition = exposition
        self._instance = instance
        self._group = f"instance {instance.name}"
        self._labels = {"cluster": clean_label_value(cluster.name), "instance": clean_label_value(instance.name)}
        self._alias = settings.up_aliases.get(cluster.engine)
        self._check_interval = settings.check_interval.total_seconds()
        access = Access.to(cluster, instance.address, timeouts=_timeouts(settings), application_name="dbre:exporter")
        self._access = replace(access, max_connections=1)
        self._spread = spread(instance.name)
        self._backoff = Backoff(
            threshold=settings.failure_threshold,
            interval=self._check_interval,
            longest=settings.longest_pause.total_seconds(),
            jitter=self._spread,
        )
        self._server: Server | None = None
        self._identity: tuple[tuple[int, ...], Role] | None = None
        self._is_up: bool | None = None
        self._check_due = 0.0
        self._collectors: dict[str, _CollectorState] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Collect until cancelled, then close the connection, also that to a server that hangs."""
        self._check_due = self._clock.monotonic() + self._spread * min(self._check_interval, _SPREAD_SECONDS)
        try:
            while True:
                name, due = self._next()
                await self._clock.sleep(due - self._clock.monotonic())
                if name is None:
                    await self._check()
                else:
                    await self._collect(name)
        finally:
            self._disconnect()
            if self._closing:
                await asyncio.wait(self._closing, timeout=_CLOSING_SECONDS)

    def _next(self) -> tuple[str | None, float]:
        """The next thing to do: a collector's name, or None for the check, which goes before all collectors that are due."""
        name, due = None, self._check_due
        if self._is_up and due > self._clock.monotonic():
            for other, state in self._collectors.items():
                if state.is_active and state.due < due:
                    name, due = other, state.due
        return name, due

    async def _check(self) -> None:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._check_interval * _TIMEOUT_SHARE):
                server = self._connected()
                identity = await server.session.identify()
                if (identity.version, identity.role) != self._identity:
                    self._adopt(await server.statistics.collectors())
                    self._identity = (identity.version, identity.role)
        except Exception as error:
            self._backoff.failed()
            if self._is_up is not False:
                trace = None if isinstance(error, DbreError | TimeoutError) else error
                reason = str(error) or "no answer in time"
                log.warning("instance_down", instance=self._instance.name, reason=reason, exc_info=trace)
            self._is_up = False
            self._disconnect()
            for state in self._collectors.values():
                state.success = False
            self._show_collectors()
        else:
            self._backoff.succeeded()
            self._is_up = True
        self._check_due = self._after(began, self._backoff.pause_seconds)
        self._show_up()

    def _adopt(self, collectors: Sequence[Collector]) -> None:
        """Take over the collectors that version, role and privileges allow now; the samples of the others go."""
        wanted = {one.name: one for one in collectors if one.name not in self._settings.disabled_collectors}
        now = self._clock.monotonic()
        for name, state in self._collectors.items():
            state.is_active = name in wanted
            if not state.is_active:
                self._exposition.remove(Source(self._group, name))
        for name, one in wanted.items():
            known = self._collectors.get(name)
            if known is None:
                self._collectors[name] = _CollectorState(interval=one.interval_seconds, due=now)
            else:
                known.interval, known.due = one.interval_seconds, min(known.due, now + one.interval_seconds)

    async def _collect(self, name: str) -> None:
        state = self._collectors[name]
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(state.interval * _TIMEOUT_SHARE):
                families = await self._connected().statistics.collect(name)
        except Exception as error:  # whatever a collector does, the others go on, and its failure is a metric
            if state.success is not False:
                trace = None if isinstance(error, DbreError | TimeoutError) else error
                reason = str(error) or "no answer in time"
                log.warning("collector_failed", instance=self._instance.name, collector=name, reason=reason, exc_info=trace)
            state.success = False
            if isinstance(error, Unreachable | TimeoutError):
                self._disconnect()
                self._check_due = self._clock.monotonic()
        else:
            metrics: list[Metric] = []
            for family in families:
                cleaned = clean_family(family, labels=self._labels)
                self._exposition.drop("invalid", cleaned.invalid_count)
                metrics.append(cleaned.metric)
                await asyncio.sleep(0)  # a server with ten thousand tables must not hold up the prober's schedule
            self._exposition.put(Source(self._group, name), metrics, lifetime_seconds=state.interval * _LIVES)
            state.success = True
            state.last_success_at = self._clock.now().timestamp()
        state.duration = self._clock.monotonic() - began
        state.due = self._after(state.due, state.interval)
        self._show_collectors()

    def _after(self, begin: float, interval: float) -> float:
        """The next moment of the grid that starts at ``begin``, not in the past: what was not run is left out, not made up."""
        now = self._clock.monotonic()
        return begin + interval * max(math.ceil((now - begin) / interval), 1)

    def _connected(self) -> Server:
        if self._server is None:
            self._server = self._engine.connect(self._access)
        return self._server

    def _disconnect(self) -> None:
        """Give up the connection, in the background; the next use opens a new one."""
        server, self._server, self._identity = self._server, None, None
        if server is not None:
            task = asyncio.create_task(_close(server))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _show_up(self) -> None:
        up = float(bool(self._is_up))
        # Should this task ever hang, "up" becomes 0 by itself instead of staying 1.
        lifetime = self._check_interval * _LIVES if self._is_up else math.inf
        self._exposition.put(
            Source(self._group, "up"), self._up_families(up), lifetime_seconds=lifetime, afterwards=self._up_families(0.0)
        )

    def _up_families(self, value: float) -> list[Metric]:
        help_text = "1: the instance answered the last check; 0: it did not."
        up = GaugeMetricFamily("dbre_up", help_text, labels=["cluster", "instance", "engine"])
        up.add_metric([*self._labels.values(), self._engine.name], value)
        if self._alias is None:
            return [up]
        alias = GaugeMetricFamily(self._alias, help_text, labels=["cluster", "instance"])
        alias.add_metric([*self._labels.values()], value)
        return [up, alias]

    def _show_collectors(self) -> None:
        labels = ["cluster", "instance", "collector"]
        success = GaugeMetricFamily("dbre_collector_success", "1: the last run succeeded; 0: it failed.", labels=labels)
        last = GaugeMetricFamily(
            "dbre_collector_last_success_timestamp_seconds", "When a run last succeeded; 0: never.", labels=labels
        )
        duration = GaugeMetricFamily("dbre_collector_duration_seconds", "How long the last run took.", labels=labels)
        for name, state in self._collectors.items():
            if state.success is None:
                continue  # did not run yet: nothing to claim
            values = [*self._labels.values(), clean_label_value(name)]
            success.add_metric(values, float(state.success))
            last.add_metric(values, state.last_success_at or 0.0)
            if state.duration is not None:
                duration.add_metric(values, state.duration)
        self._exposition.put(Source(self._group, "collectors"), [success, last, duration])


def _timeouts(settings: ExporterDocument) -> Timeouts:
    return Timeouts(
        connect_seconds=settings.connect_timeout.total_seconds(),
        statement_seconds=settings.statement_timeout.total_seconds(),
    )


async def _close(server: Server) -> None:
    closing = asyncio.ensure_future(server.aclose())
    _, unfinished = await asyncio.wait({closing}, timeout=_CLOSING_SECONDS)
    for one in unfinished:
        one.cancel()
