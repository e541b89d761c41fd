"""The read side: the state of SLOs from the store alone, for commands and pages, with or without a running engine."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.slo.alert_repository import load_alert_states, read_alerts
from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.assessment import Measured, assess, longest_look_back
from dbre.capabilities.slo.burn_chart import burn_down_points
from dbre.capabilities.slo.definition import Definition, SloInstance, instances_of, problems_of
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.capabilities.slo.model import AlertKey, AlertRecord, BurnDown, SloStatus
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slot_repository import LoadedSeries, SeriesKey, definition_starts, find_series, load_slots
from dbre.capabilities.slo.telemetry_state import lost_after_seconds
from dbre.capabilities.slo.window import span
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.core.text import closest, printable

__all__ = ["DEFAULT_INTERVAL", "LOST_AFTER", "burn_down", "find_instance", "recent_alerts", "report", "select_instances"]

DEFAULT_INTERVAL = timedelta(seconds=10)
LOST_AFTER = timedelta(minutes=1)


def select_instances(definitions: Sequence[Definition], fleet: Fleet, *, name: str | None = None) -> tuple[SloInstance, ...]:
    """The instances that a person means by ``slo``, ``slo@cluster`` or nothing (all).

    Raises: UnknownSlo with a did-you-mean.
    """
    instances = instances_of(definitions, fleet)
    if name is None:
        return instances
    chosen = tuple(one for one in instances if name in (one.definition.name, one.id))
    if chosen:
        return chosen
    if idle := problems_of([one for one in definitions if one.name == name], fleet):  # with an instance it were chosen
        raise UnknownSlo(idle[0].message, hint=idle[0].hint, context={"name": name})
    known = sorted({one.definition.name for one in instances} | {one.id for one in instances})
    guess = closest(name, known)
    raise UnknownSlo(
        f"no SLO is named {printable(name, limit=150)}",
        hint=f"did you mean {printable(guess)}?" if guess else "dbre slo list shows every SLO and its clusters",
        context={"name": name},
    )


def find_instance(definitions: Sequence[Definition], fleet: Fleet, *, slo: str, cluster: str) -> SloInstance:
    """One instance. Raises: UnknownSlo."""
    return select_instances(definitions, fleet, name=f"{slo}@{cluster}")[0]


@dataclass(frozen=True, slots=True)
class _Stored:
    """What one consistent snapshot of the store says."""

    keys: dict[str, SeriesKey]
    loaded: dict[int, LoadedSeries]
    states: dict[AlertKey, TrackedAlert]
    since: dict[str, datetime]

    def series(self, instance: SloInstance) -> LoadedSeries:
        key = self.keys.get(instance.id)
        return LoadedSeries() if key is None else self.loaded[key.id]


async def _read(store: Store, instances: Sequence[SloInstance], now: datetime, *, windows: int = 1) -> _Stored:
    end = slot_at(now) + 1
    async with store.read() as connection:
        keys = await find_series(connection, instances)
        needed = {
            keys[one.id].id: end - windows * (longest_look_back(one) // SLOT_SECONDS + 1) for one in instances if one.id in keys
        }
        loaded = await load_slots(connection, needed, end=end)
        states = await load_alert_states(connection)
        starts = await definition_starts(connection)
    hashes = {one.definition.name: one.definition.hash for one in instances}
    since = {name: moment for name, (digest, moment) in starts.items() if hashes.get(name) == digest}
    return _Stored(keys, loaded, states, since)


async def report(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    now: datetime,
    probe_interval: timedelta | None = None,
    *,
    name: str | None = None,
    lost_after: timedelta = LOST_AFTER,
) -> tuple[SloStatus, ...]:
    """The state of every SLO instance (or of those that ``name`` means) at ``now``, in the order of the configuration.

    Without ``probe_interval`` each series' own is used, which the engine stored with it.
    """
    instances = select_instances(definitions, fleet, name=name)
    stored = await _read(store, instances, now)
    statuses = []
    for instance in instances:
        loaded = stored.series(instance)
        states = {
            key.rule: one
            for key, one in stored.states.items()
            if (key.slo, key.cluster) == (instance.definition.name, instance.cluster.name)
        }
        interval_ms = _interval_ms(stored.keys.get(instance.id), probe_interval)
        measured = Measured(
            instance=instance,
            series=loaded.series,
            recent=loaded.series,
            interval_ms=interval_ms,
            silent_seconds=_silent_seconds(loaded.series, now),
            lost_after_seconds=lost_after_seconds(lost_after.total_seconds(), interval_ms=interval_ms),
            tracked=states,
            corrupt_slots=loaded.corrupt_slots,
            definition_since=stored.since.get(instance.definition.name),
        )
        statuses.append(assess(measured, now))
    return tuple(statuses)


def _interval_ms(key: SeriesKey | None, given: timedelta | None) -> int:
    if given is None and key is not None:
        return key.interval_ms
    return (given or DEFAULT_INTERVAL) // timedelta(milliseconds=1)


def _silent_seconds(series: SlotSeries, now: datetime) -> float:
    """Seconds since the newest valid event ended its slot, or else since the first probe that gave none; 0 before any."""
    last = series.last_valid_slot(slot_at(now) + 1)
    since = series.first if last is None else last + 1
    return 0.0 if since is None else max((now - slot_start(since)).total_seconds(), 0.0)


async def burn_down(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    now: datetime,
    *,
    slo: str,
    cluster: str,
    limit: int = 2_000,
) -> BurnDown:
    """What was left of the budget over the current window, in at most ``limit`` points. Raises: UnknownSlo."""
    instance = find_instance(definitions, fleet, slo=slo, cluster=cluster)
    stored = await _read(store, [instance], now, windows=2)
    at = span(instance.definition.window, now)
    points = await asyncio.to_thread(  # thousands of exact fractions where a service flaps; the event loop turns meanwhile
        burn_down_points,
        stored.series(instance).series,
        instance.definition,
        at,
        interval_ms=_interval_ms(stored.keys.get(instance.id), None),
        limit=limit,
    )
    return BurnDown(slo=slo, cluster=cluster, start=at.start, end=at.end, points=points)


async def recent_alerts(
    store: Store, *, limit: int = 100, slo: str | None = None, cluster: str | None = None
) -> tuple[AlertRecord, ...]:
    """The newest alerts, firing and resolved, the one with the newest transition first."""
    async with store.read() as connection:
        return await read_alerts(connection, limit=limit, slo=slo, cluster=cluster)
