"""Whether each part of the control plane does its work now; what ``/readyz`` answers."""

import asyncio
from collections.abc import Sequence

from dbre.capabilities.observe import Prober
from dbre.capabilities.slo import SloEngine
from dbre.core.errors import StoreError
from dbre.core.events import recent
from dbre.core.store import Store
from dbre.web.services import Readiness

__all__ = ["find_trouble", "readiness"]

_ANSWER_SECONDS = 2.0


async def readiness(store: Store, slo: SloEngine, prober: Prober) -> Sequence[Readiness]:
    """One row a part; the store is asked, the others are looked at."""
    return (await _store(store), _slo(slo), _prober(prober))


async def find_trouble(store: Store, slo: SloEngine, prober: Prober) -> str | None:
    """What hinders the control plane from watching, or None; what a dead man's switch asks."""
    bad = [f"{one.part}: {one.detail}" for one in await readiness(store, slo, prober) if not one.is_ready]
    return "; ".join(bad) or None


async def _store(store: Store) -> Readiness:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), store.read() as connection:
            await recent(connection, limit=1)
    except TimeoutError:
        detail = f"{store.address}: no answer within {_ANSWER_SECONDS:g} s"
        return Readiness(part="store", is_ready=False, detail=detail)
    except StoreError as error:
        return Readiness(part="store", is_ready=False, detail=error.message)
    return Readiness(part="store", is_ready=True, detail=str(store.address))


def _slo(slo: SloEngine) -> Readiness:
    health = slo.health
    if health.store_error is not None:
        detail = f"{health.store_error}; {health.unsaved_events} events in memory, {health.lost_events} lost"
        return Readiness(part="slo", is_ready=False, detail=detail)
    if not health.is_started:
        return Readiness(part="slo", is_ready=False, detail="history is not loaded yet")
    return Readiness(part="slo", is_ready=True, detail=f"{health.unsaved_events} events in memory")


def _prober(prober: Prober) -> Readiness:
    states = prober.states
    measured = [one for one in states if one.last is not None]
    detail = f"{len(measured)} of {len(states)} endpoints measured"
    return Readiness(part="prober", is_ready=bool(measured) or not states, detail=detail)
