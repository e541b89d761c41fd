"""Rung after rung, until one is confirmed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.fencing.rung import Confirmation, FenceFailed, Rung
from dbre.core.clock import Clock
from dbre.core.errors import DbreError

__all__ = ["Fenced", "acted_of", "climb", "standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """Which rung held, and what the others said before it."""

    rung: str
    done: str
    is_ours: bool  # it was this act that stopped it, and so it can be taken back
    seen: str
    seconds: float
    tried: tuple[str, ...]
    acted: tuple[str, ...]  # rungs that did something, the one that held or not: all of them are taken back

    def as_document(self) -> dict[str, Any]:
        """As the journal of an operation holds it."""
        return {
            "rung": self.rung,
            "done": self.done,
            "is_ours": self.is_ours,
            "seen": self.seen,
            "seconds": round(self.seconds, 3),
            "tried": list(self.tried),
            "acted": list(self.acted),
        }


async def standing(rungs: Sequence[Rung]) -> dict[str, bool]:
    """Which rungs would change anything now; written before any of them acts, it outlives whoever acts.

    A rung that cannot tell is not in it.
    """
    found = {}
    for rung in rungs:
        with suppress(DbreError):
            found[rung.name] = await rung.stands()
    return found


def acted_of(fenced: Mapping[str, Any], before: Mapping[str, bool] | None = None) -> tuple[str, ...]:
    """The rungs to take back, by a journal; one of an older version tells of the last rung only.

    Where the fence has no result nobody knows how far it came: then all that would have changed anything ``before``.

    >>> acted_of({"rung": "network", "is_ours": True, "acted": ["control", "network"]})
    ('control', 'network')
    >>> acted_of({"rung": "control", "is_ours": True}), acted_of({"rung": "attested", "is_ours": False})
    (('control',), ())
    >>> acted_of({}, {"control": True, "self_fence": False})
    ('control',)
    """
    if not fenced:
        return tuple(name for name, stood in (before or {}).items() if stood)
    return tuple(fenced.get("acted", [fenced["rung"]] if fenced.get("is_ours") else []))


async def climb(
    rungs: Sequence[Rung],
    *,
    subject: str,
    clock: Clock,
    note: Callable[[str], Awaitable[None]],
    before: Mapping[str, bool] | None = None,
) -> Fenced:
    """Try each rung; the first that is confirmed ends it. Raises: FenceFailed with what every rung said.

    ``before``: what ``standing`` said when nothing was done yet. Who goes on for somebody who was killed finds what that one
    did, and would take it for the doing of others.
    """
    begun, tried, acted = clock.monotonic(), [], list[Rung]()
    for rung in rungs:
        stood = (before or {}).get(rung.name, False)
        try:
            stood = stood or await rung.stands()
            act = await rung.fence()
            if act.is_ours or stood:
                acted.append(rung)
            found: Confirmation = await rung.confirm()
        except DbreError as error:
            if stood and rung not in acted:  # it may have done half of it
                acted.append(rung)
            tried.append(f"{rung.name}: {error.message}")
            await note(f"{rung.name} failed: {error.message}")
            continue
        await note(f"{rung.name}: {act.done}; {found.seen}")
        if found.is_fenced:
            return Fenced(
                rung=rung.name,
                done=act.done,
                is_ours=rung in acted,
                seen=found.seen,
                seconds=clock.monotonic() - begun,
                tried=tuple(tried),
                acted=tuple(one.name for one in acted),
            )
        tried.append(f"{rung.name}: {found.seen}")
    left = await _take_back(acted, note)
    raise FenceFailed(
        f"{subject} could not be fenced, so nothing is promoted: {'; '.join([*tried, *left])}",
        hint="see to it by hand that it takes no writes, and say how under failover: fence:",
        context={"instance": subject, "tried": tried, "left": left},
    )


async def _take_back(acted: Sequence[Rung], note: Callable[[str], Awaitable[None]]) -> list[str]:
    """Half a fence protects nobody, and keeps clients from a server that may be the only one. Gives what stays of it."""
    left = []
    for rung in reversed(acted):
        try:
            done = await rung.release()
        except DbreError as error:
            left.append(f"{rung.name} could not be taken back: {error.message}")
            await note(left[-1])
        else:
            await note(f"{rung.name}: {done or 'stays as it is'}")
            left += [f"{rung.name} stays as it is, and a person takes it back"] if done is None else []
    return left
