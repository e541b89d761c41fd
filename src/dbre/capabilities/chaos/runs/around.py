"""What SLOs counted before, while and after faults were on, and which incidents began: read from the stored slots."""

from datetime import datetime, timedelta
from typing import Any

from dbre.capabilities.chaos.runs.model import Run
from dbre.capabilities.chaos.runs.repository import keep_surroundings
from dbre.capabilities.chaos.surroundings import Surroundings
from dbre.core.store import Store

__all__ = ["FINAL_AFTER", "collect", "finish"]

_SPAN = timedelta(minutes=5)  # before, and after
_SLOT = timedelta(seconds=10)  # what SLOs count in
FINAL_AFTER = timedelta(minutes=15)
"""How long after the end of a run SLOs may still count events of its time."""


async def collect(surroundings: Surroundings, run: Run, now: datetime) -> dict[str, Any]:
    """All three spans; the last one is as long as time has passed since, five minutes at most."""
    on = run.on_at or run.began_at
    off = max(run.off_at or run.ended_at or now, on)
    until = min(off + _SPAN, max(now, off + _SLOT))
    before = await surroundings.around(run.cluster, since=on - max(_SPAN, off - on), until=on)
    during = await surroundings.around(run.cluster, since=on, until=off + _SLOT)  # the slot in which it ended belongs to it
    after = await surroundings.around(run.cluster, since=off + _SLOT, until=max(until, off + 2 * _SLOT))
    # One that began with it may seem to have begun before: bad events are counted by slots.
    seen = [one for one in before.incidents if datetime.fromisoformat(str(one["detected_at"])) >= on]
    incidents = {one["name"]: one for one in (*seen, *during.incidents, *after.incidents)}
    return {
        "before": list(before.slos),
        "during": list(during.slos),
        "after": list(after.slos),
        "incidents": list(incidents.values()),
        "signs": [*during.signs, *after.signs],
        "read_at": now.isoformat(),
    }


async def finish(store: Store, surroundings: Surroundings, run: Run, now: datetime) -> dict[str, Any]:
    """Read them for the last time, and keep them."""
    found = await collect(surroundings, run, now)
    await keep_surroundings(store, run.id, found, is_final=run.ended_at is not None and now >= run.ended_at + FINAL_AFTER)
    return found
