"""Running many things at once until a signal comes, or until one of them fails."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

from dbre.core.text import printable

__all__ = ["run_parts", "stop_signals", "until_told"]

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger(__name__)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """What SIGTERM and SIGINT set while the block runs. SIGHUP is logged and otherwise ignored.

    A daemon that ends silently because a terminal was closed watches nothing; configuration is read at the start only.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in _STOPPING:
        loop.add_signal_handler(one, _be_told, told, one)
    loop.add_signal_handler(signal.SIGHUP, _ignore_hangup)
    try:
        yield told
    finally:
        for one in (*_STOPPING, signal.SIGHUP):
            loop.remove_signal_handler(one)


def _be_told(told: asyncio.Event, number: signal.Signals) -> None:
    _log.info("stop_requested", signal=number.name)
    told.set()


def _ignore_hangup() -> None:
    _log.warning("hangup_ignored", hint="configuration is read at the start: restart to apply changes")


async def until_told(told: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end, or cancel it when told to stop; its error is this function's."""
    task, waiter = asyncio.ensure_future(work), asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def run_parts(parts: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Run all parts until cancelled, or until one ends: its error is then this function's."""
    tasks = [asyncio.ensure_future(_named(name, run)) for name, run in parts.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [one for one in results if isinstance(one, Exception)]
    if failures:
        raise failures[0]


async def _named(name: str, run: Callable[[], Awaitable[None]]) -> None:
    try:
        await run()
    except Exception as error:
        described = f"{type(error).__name__}: {printable(str(error))}"
        _log.error("control_plane_part_failed", part=name, error=described, exc_info=error)
        raise
