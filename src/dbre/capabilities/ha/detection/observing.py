"""The loop of an observer: a round, a report, a pause."""

import asyncio
from collections.abc import Callable

import structlog

from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.detection.report import Report
from dbre.capabilities.ha.detection.reports import last_report, write_report
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, StoreError
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["EVERY_SECONDS", "observe"]

EVERY_SECONDS = 0.5
"""From the beginning of one round to that of the next, where the round does not take longer."""

_log = structlog.get_logger(__name__)


async def observe(
    observer: Observer,
    store: Store,
    clock: Clock,
    *,
    every_seconds: float = EVERY_SECONDS,
    seen: Callable[[Report], None] = lambda _: None,
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
                await write_report(store, report, clock)
                seen(report)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("report_not_written", cluster=observer.cluster.name, code=error.code, error=error.message)
            except DbreError as error:
                _log.warning("round_failed", cluster=observer.cluster.name, code=error.code, error=error.message)
            await clock.sleep(max(0.0, begun + every_seconds - clock.monotonic()))
            await asyncio.sleep(0)
