"""Checks every service of the stack at its own interval, for as long as the control plane runs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from dbre.capabilities.stack.checks import check
from dbre.capabilities.stack.documents import ServiceDocument
from dbre.capabilities.stack.model import CheckResult, ServiceState
from dbre.core.clock import Clock
from dbre.core.telemetry import Metrics
from dbre.ports.engine import EngineRegistry

__all__ = ["CheckObserver", "StackChecker"]

_MOST_MISSED = 1_000  # checks that are told as not made at once, after this process stood still

_log = structlog.get_logger(__name__)


class CheckObserver(Protocol):
    """Who hears of every check: ``is_good`` None where it was due and was not made."""

    def __call__(self, service: str, *, at: datetime, is_good: bool | None) -> None:
        """Take note; does no I/O."""
        ...


class StackChecker:
    """Runs the checks; a service is called down in events after ``failures`` failed checks in a row, up after one that did not.

    A degraded service counts as good for SLOs: it answers.
    """

    def __init__(
        self,
        services: Sequence[ServiceDocument],
        *,
        engines: EngineRegistry,
        clock: Clock,
        events: Callable[[str, str, Mapping[str, object]], object],
        observer: CheckObserver | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._services = tuple(services)
        self._engines = engines
        self._clock = clock
        self._events = events
        self._observer = observer
        self._results: dict[str, CheckResult] = {}
        self._failures: dict[str, int] = {}
        self._down_since: dict[str, datetime] = {}
        self._gauges = _Gauges(metrics) if metrics is not None and services else None

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """The latest check of each service, in the order of the configuration; those that were checked already."""
        return tuple(self._results[one.name] for one in self._services if one.name in self._results)

    async def run(self) -> None:
        """Check until cancelled."""
        async with asyncio.TaskGroup() as group:
            for one in self._services:
                group.create_task(self._keep(one))
            await asyncio.Event().wait()

    async def check_once(self, service: ServiceDocument, *, at: datetime) -> CheckResult:
        """One check now, told to everybody."""
        found = await check(service, engines=self._engines, at=at)
        before = self._results.get(service.name)
        is_same = before is not None and before.state is found.state
        found = replace(found, since=before.since if is_same and before is not None else at)
        self._results[service.name] = found
        if self._observer is not None:
            self._observer(service.name, at=at, is_good=found.state is not ServiceState.DOWN)
        if self._gauges is not None:
            self._gauges.note(found)
        self._follow(service, found)
        return found

    async def _keep(self, service: ServiceDocument) -> None:
        interval = service.interval.total_seconds()
        offset = sum(service.name.encode()) % max(int(interval), 1)  # so that not all begin in the same second
        due = (self._clock.now().timestamp() - offset) // interval + 1
        while True:
            at = datetime.fromtimestamp(due * interval + offset, UTC)
            await self._clock.sleep((at - self._clock.now()).total_seconds())
            await self.check_once(service, at=at)
            following = max((self._clock.now().timestamp() - offset) // interval + 1, due + 1)
            for missed in range(int(due) + 1, int(following))[-_MOST_MISSED:]:
                if self._observer is not None:
                    self._observer(service.name, at=datetime.fromtimestamp(missed * interval + offset, UTC), is_good=None)
            due = following

    def _follow(self, service: ServiceDocument, found: CheckResult) -> None:
        """Tell of a service that is down, or up again, once."""
        name = service.name
        data = {"service": name, "kind": found.kind.value, "state": found.state.value, "detail": found.detail}
        if found.state is ServiceState.DOWN:
            self._failures[name] = self._failures.get(name, 0) + 1
            if self._failures[name] == service.failures:
                self._down_since[name] = found.since or found.at
                _log.warning("stack_service_down", **data)
                self._events("stack.service_down", name, {**data, "since": _text(self._down_since[name])})
            return
        self._failures[name] = 0
        since = self._down_since.pop(name, None)
        if since is not None:
            lasted = (found.at - since).total_seconds()
            _log.info("stack_service_up", **data, down_seconds=lasted)
            self._events("stack.service_up", name, {**data, "since": _text(since), "down_seconds": lasted})


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


class _Gauges:
    def __init__(self, metrics: Metrics) -> None:
        labels = ["service", "kind"]
        self._up = metrics.gauge("stack_service_up", "1 where the last check found it up or degraded, 0 where down.", labels)
        self._degraded = metrics.gauge(
            "stack_service_degraded", "1 where it answered late, or said that something is wrong.", labels
        )
        self._seconds = metrics.gauge("stack_check_seconds", "How long the last answer took; NaN: there was none.", labels)

    def note(self, found: CheckResult) -> None:
        labels = (found.service, found.kind.value)
        self._up.labels(*labels).set(found.state is not ServiceState.DOWN)
        self._degraded.labels(*labels).set(found.state is ServiceState.DEGRADED)
        self._seconds.labels(*labels).set(float("nan") if found.latency_seconds is None else found.latency_seconds)
