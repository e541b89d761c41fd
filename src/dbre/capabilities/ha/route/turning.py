"""Several routes turned as one: all are held back before the first is turned, and none is forgotten."""

import asyncio
import time
from collections.abc import Sequence

from dbre.core.errors import DbreError
from dbre.ports.route import Route

__all__ = ["pause_all", "resume_all"]


async def pause_all(routes: Sequence[Route], *, limit_seconds: float) -> tuple[str, ...]:
    """Hold clients back on every route that can; the names of those. All or none: where one fails, the others are resumed.

    Raises: RoutePauseTimeout after the limit of all together, and what the routes raise.
    """
    deadline, paused = time.monotonic() + limit_seconds, []
    try:
        for route in routes:
            if route.can_pause:
                paused.append(route)
                await route.pause(limit_seconds=max(0.0, deadline - time.monotonic()))
    except BaseException as error:
        try:
            await asyncio.shield(resume_all(paused))
        except DbreError as problem:
            error.add_note(f"and a route stays paused: {problem.message}")
        raise
    return tuple(one.name for one in paused)


async def resume_all(routes: Sequence[Route]) -> tuple[str, ...]:
    """Let clients go on everywhere, on as many routes as will; their names. Raises: the first error, after all were tried."""
    failures, resumed = [], []
    for route in routes:
        if not route.can_pause:
            continue
        try:
            await route.resume()
            resumed.append(route.name)
        except DbreError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return tuple(resumed)
