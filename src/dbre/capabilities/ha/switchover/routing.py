"""The routes of the clients while the primary changes: held back before, turned and opened after."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.ports.route import Route, RouteState

__all__ = ["pause", "resume", "turn"]


async def pause(routes: Sequence[Route], *, limit_seconds: float) -> list[str]:
    """Hold clients back at all that can. Raises: what one raises, after those before it were opened again."""
    done: list[Route] = []
    try:
        for route in routes:
            if route.can_pause:
                await route.pause(limit_seconds=limit_seconds)
                done.append(route)
    except DbreError:
        await resume(done)
        raise
    return [one.name for one in done]


async def resume(routes: Sequence[Route]) -> list[str]:
    """Let clients go on at all of them; one that does not obey keeps no other closed. Raises: what it raised."""
    done, problems = [], []
    for route in routes:
        try:
            await route.resume()
            done.append(route.name)
        except DbreError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return done


async def turn(routes: Sequence[Route], address: Address, before: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lead all of them to the new primary, open each at once, and end what still goes elsewhere.

    Raises: what the first that failed raised, at the end.
    """
    done, problems = [], []
    for route in routes:
        try:
            if route.name in before:
                await route.point_to(address, before=RouteState.from_document(before[route.name]))
            await route.resume()
            await route.cut(address)  # what a proxy still leads to the old one, which takes no writes
            done.append(route.name)
        except DbreError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return done
