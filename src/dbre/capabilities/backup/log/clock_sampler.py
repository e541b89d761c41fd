"""Samples of where the log of a server is: what tells how old the oldest change is that nobody has yet."""

from datetime import timedelta

from dbre.capabilities.backup.catalog.clock import ClockSample, insert_samples, thin_samples
from dbre.capabilities.backup.log.origin import LogOrigin
from dbre.core.clock import Clock
from dbre.core.store import Store

__all__ = ["sample_clock"]

_THIN_EVERY = 600.0
_DENSE = timedelta(hours=6)
_THINNED_TO = timedelta(seconds=10)
_STILL_ALIVE = 5.0  # an unchanged position is written again after so long: it is known that nothing was written since


async def sample_clock(origin: LogOrigin, *, store: Store, clock: Clock, keep: timedelta) -> None:
    """Write a sample a second while the log grows; returns when the server no longer answers.

    Before the first change after a rest, the last moment of rest is written too: so each change is known to the second.
    """
    last: ClockSample | None = None
    is_last_written = True
    written = thinned = clock.monotonic()
    async for position in origin.port.watch(origin.access):
        sample = ClockSample(
            cluster=origin.cluster.name,
            system_id=origin.system_id,
            at=clock.now(),
            timeline=position.timeline,
            value=position.value,
        )
        changed = last is None or last.value != sample.value or last.timeline != sample.timeline
        now = clock.monotonic()
        if changed or now - written >= _STILL_ALIVE:
            rest = [last] if last is not None and changed and not is_last_written else []
            async with store.begin() as connection:
                await insert_samples(connection, [*rest, sample])
                if now - thinned >= _THIN_EVERY:
                    thinned = now
                    older, forget = sample.at - _DENSE, sample.at - keep
                    await thin_samples(connection, sample.cluster, older_than=older, every=_THINNED_TO, forget_before=forget)
            written, is_last_written = now, True
        else:
            is_last_written = False
        last = sample
