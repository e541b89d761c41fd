"""Rung after rung, until one is confirmed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.fencing.rung import Confirmation, FenceFailed, Rung
from dbre.core.clock import Clock
from dbre.core.errors import DbreError

__all__ = ["Fenced", "acted_of", "climb"]


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


def acted_of(fenced: Mapping[str, Any]) -> tuple[str, ...]:
    """The rungs to take back, by a journal; one of before tells of the last rung only.

    >>> acted_of({"rung": "network", "is_ours": True, "acted": ["control", "network"]})
    ('control', 'network')
    >>> acted_of({"rung": "control", "is_ours": True}), acted_of({"rung": "attested", "is_ours": False})
    (('control',), ())
    """
    return tuple(fenced.get("acted", [fenced["rung"]] if fenced.get("is_ours") else []))


async def climb(rungs: Sequence[Rung], *, subject: str, clock: Clock, note: Callable[[str], Awaitable[None]]) -> Fenced:
    """Try each rung; the first that is confirmed ends it. Raises: FenceFailed with what every rung said."""
    begun, tried, acted = clock.monotonic(), [], list[Rung]()
    for rung in rungs:
        try:
            act = await rung.fence()
            if act.is_ours:
                acted.append(rung)
            found: Confirmation = await rung.confirm()
        except DbreError as error:
            tried.append(f"{rung.name}: {error.message}")
            await note(f"{rung.name} failed: {error.message}")
            continue
        await note(f"{rung.name}: {act.done}; {found.seen}")
        if found.is_fenced:
            seconds = clock.monotonic() - begun
            return Fenced(
                rung=rung.name,
                done=act.done,
                is_ours=act.is_ours,
                seen=found.seen,
                seconds=seconds,
                tried=tuple(tried),
                acted=tuple(one.name for one in acted),
            )
        tried.append(f"{rung.name}: {found.seen}")
    for rung in reversed(acted):  # half a fence protects nobody, and keeps clients from a server that may be the only one
        try:
            await note(f"{rung.name}: {await rung.release() or 'stays as it is'}")
        except DbreError as error:
            await note(f"{rung.name} could not be taken back: {error.message}")
    raise FenceFailed(
        f"{subject} could not be fenced, so nothing is promoted: {'; '.join(tried)}",
        hint="see to it by hand that it takes no writes, and say how under failover: fence:",
        context={"instance": subject, "tried": tried},
    )
