"""Several routes turned as one: all are held back before the first is turned, and go on after the last is; none is forgotten.

Where the old primary is still there, ``turn_all`` turns all or none. Where there is a new one already, nothing leads back:
``lead_all`` turns as many as will.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.ports.route import Route, RouteState

__all__ = ["RoutesLeftBehind", "lead_all", "pause_all", "resume_all", "turn_all", "turn_all_back"]


class RoutesLeftBehind(DbreError):
    """Some routes could not be put back: nobody knows where they lead. The others are back."""

    code = "route.left_behind"


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


async def turn_all(routes: Sequence[Route], address: Address, *, before: Mapping[str, RouteState]) -> None:
    """Lead every route to ``address``. Where one fails, those before it and itself are put back, and then the error is raised.

    Raises: what ``point_to`` raises; RoutesLeftBehind where putting back failed, too.
    """
    tried = []
    try:
        for route in routes:
            tried.append(route)
            await route.point_to(address, before=before[route.name])
    except BaseException as error:
        try:
            await asyncio.shield(turn_all_back(tried, address, before=before))
        except RoutesLeftBehind as problem:
            said = error.message if isinstance(error, DbreError) else type(error).__name__
            raise RoutesLeftBehind(f"{said}; then: {problem.message}", hint=problem.hint, context=problem.context) from error
        raise


async def turn_all_back(routes: Sequence[Route], address: Address, *, before: Mapping[str, RouteState]) -> None:
    """Put every route back that leads to ``address``, the last first; one that fails does not keep the others.

    Raises: RoutesLeftBehind, after all were tried.
    """
    failures: dict[str, DbreError] = {}
    for route in reversed(routes):
        try:
            await route.undo(address, before=before[route.name])
        except DbreError as error:
            failures[route.name] = error
    if failures:
        said = "; ".join(f"{name}: {error.message}" for name, error in failures.items())
        raise RoutesLeftBehind(
            f"not put back: {said}",
            hint="see where it leads: dbre ha route show; and turn it by hand",
            context={"routes": list(failures)},
        )


async def lead_all(routes: Sequence[Route], address: Address, *, before: Mapping[str, RouteState | None]) -> Mapping[str, int]:
    """Lead every route that will to ``address``, the only primary; then all go on, and what still goes elsewhere ends.

    How many connections that were, by route. Where ``before`` knows nothing of a route, it is turned from where it leads now. A
    way may lead through another one, so that none goes on before all are turned. One that cannot be turned goes on, too: an
    error tells its clients more than silence.

    Raises: the first error, after all were tried.
    """
    failures: list[DbreError] = []
    turned: list[Route] = []
    try:
        for route in routes:
            try:
                await route.point_to(address, before=before.get(route.name) or await route.current())
                turned.append(route)
            except DbreError as error:
                failures.append(error)
    finally:
        try:
            await asyncio.shield(resume_all(routes))
        except DbreError as error:
            failures.append(error)
    ended: dict[str, int] = {}
    for route in turned:
        try:
            ended[route.name] = await route.cut(address)
        except DbreError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return ended
