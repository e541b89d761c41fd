"""The loop of an observer: a round, a report, a pause."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.detection.report import Report
from dbre.capabilities.ha.detection.reports import last_report, write_report
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, StoreError, UsageError
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.text import closest, quoted
from dbre.ports.engine import EngineRegistry

__all__ = ["EVERY_SECONDS", "Vouch", "observe", "observe_all", "observed_by"]

EVERY_SECONDS = 0.5
"""From the beginning of one round to that of the next, where the round does not take longer."""

Vouch = Callable[[Report], Awaitable[None]]
"""Tells the watchdogs of a cluster what an observer thinks of their servers."""

_log = structlog.get_logger(__name__)


async def observe(
    observer: Observer,
    store: Store,
    clock: Clock,
    *,
    every_seconds: float = EVERY_SECONDS,
    seen: Callable[[Report], None] = lambda _: None,
    vouch: Vouch | None = None,
) -> None:
    """Look and report until cancelled. What cannot be seen or written is not said: silence is what an observer may err in."""
    async with observer:
        is_recalled = False
        while True:
            begun = clock.monotonic()
            try:
                if not is_recalled:
                    observer.recall(await last_report(store, observer.cluster.name, observer.name))
                    is_recalled = True
                report = await observer.look()
                if vouch is not None:
                    await vouch(report)
                await write_report(store, report, clock)
                seen(report)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("report_not_written", cluster=observer.cluster.name, code=error.code, error=error.message)
            except DbreError as error:
                _log.warning("round_failed", cluster=observer.cluster.name, code=error.code, error=error.message)
            await clock.sleep(max(0.0, begun + every_seconds - clock.monotonic()))


def observed_by(settings: HaDocument, fleet: Fleet, name: str, wanted: Sequence[str]) -> list[Cluster]:
    """The clusters that name this observer, or those of them that are wanted.

    Raises: UsageError for an unknown cluster, or where nobody listens to this observer.
    """
    chosen = [fleet.cluster(one) for one in wanted] or list(fleet.clusters)
    listening = [one for one in chosen if name in _observers(settings, one.name)]
    deaf = [one.name for one in chosen if one not in listening] if wanted else []
    if deaf or not listening:
        known = sorted({other for one in fleet.clusters for other in _observers(settings, one.name)})
        near = closest(name, known)
        raise UsageError(
            f"no observer of {', '.join(deaf) or 'any cluster'} is named {quoted(name, limit=100)}: nobody would listen",
            hint=f"did you mean {near}?" if near else "list it: ha: clusters: - cluster: ... failover: observers: [...]",
        )
    return listening


def _observers(settings: HaDocument, cluster: str) -> tuple[str, ...]:
    found = settings.of(cluster).failover
    return found.observers if found is not None else ()


async def observe_all(
    engines: EngineRegistry,
    fleet: Fleet,
    clusters: Sequence[Cluster],
    store: Store,
    clock: Clock,
    *,
    name: str,
    every_seconds: float = EVERY_SECONDS,
    for_seconds: float | None = None,
    vouch_of: Callable[[Cluster], Awaitable[Vouch | None]] | None = None,
) -> dict[str, int]:
    """Observe several clusters side by side, for ever or for a time; gives the number of rounds of each."""
    rounds = dict.fromkeys((one.name for one in clusters), 0)

    def count(report: Report) -> None:
        rounds[report.cluster] += 1

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_seconds), asyncio.TaskGroup() as group:
            for one in clusters:
                observer = Observer(engines, fleet, one, clock, name=name)
                vouch = await vouch_of(one) if vouch_of is not None else None
                group.create_task(observe(observer, store, clock, every_seconds=every_seconds, seen=count, vouch=vouch))
    return rounds
