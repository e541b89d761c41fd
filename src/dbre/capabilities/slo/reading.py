"""The read side: the state of SLOs from the store alone, for commands and pages, with or without a running engine."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.alert_repository import load_alert_states, read_alerts
from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.burn_chart import burn_down_points
from dbre.capabilities.slo.burn_history import WINDOWS_SHOWN, BurnHistory, burn_history
from dbre.capabilities.slo.correction import Correction, intervals_of
from dbre.capabilities.slo.correction_repository import load_corrections
from dbre.capabilities.slo.definition import Definition, SloInstance, instance_id, instances_of, problems_of
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.capabilities.slo.look_back import look_back_slots
from dbre.capabilities.slo.model import AlertRecord, BurnDown, SloStatus
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.slot_repository import (
    LoadedSeries,
    SeriesKey,
    definition_starts,
    find_series,
    load_heard,
    load_slots,
    stored_groups,
)
from dbre.capabilities.slo.telemetry_state import lost_after_seconds
from dbre.capabilities.slo.versions import Version, load_histories, with_old_series
from dbre.capabilities.slo.window import span
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.core.text import closest, printable

__all__ = [
    "DEFAULT_INTERVAL",
    "LOST_AFTER",
    "Snapshot",
    "burn_down",
    "burn_histories",
    "find_instance",
    "read_snapshot",
    "recent_alerts",
    "report",
    "select_instances",
    "snapshot_of",
    "with_groups",
]

DEFAULT_INTERVAL = timedelta(seconds=10)
LOST_AFTER = timedelta(minutes=1)
_HEARD_SECONDS = 30.0  # how old a stored sign of life may be although the source is alive


def select_instances(definitions: Sequence[Definition], fleet: Fleet, *, name: str | None = None) -> tuple[SloInstance, ...]:
    """The instances that a person means by ``slo``, ``slo@cluster``, ``slo@cluster/group`` or nothing (all).

    Of a grouped SLO this is the one of all groups together; a group's own is taken at its word (``with_groups``).

    Raises: UnknownSlo with a did-you-mean.
    """
    instances = instances_of(definitions, fleet)
    if name is None:
        return instances
    base, slash, group = name.partition("/")
    grouped = [one for one in definitions if one.sli.is_grouped]
    if slash and group:
        bases = instances_of([replace(one, has_roll_up=True) for one in grouped], fleet)
        chosen = tuple(replace(one, group=group) for one in bases if one.id == base)
    else:
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


def find_instance(definitions: Sequence[Definition], fleet: Fleet, *, slo: str, cluster: str, group: str = "") -> SloInstance:
    """One instance. Raises: UnknownSlo."""
    return select_instances(definitions, fleet, name=instance_id(slo, cluster, group))[0]


async def with_groups(
    connection: AsyncConnection,
    definitions: Sequence[Definition],
    fleet: Fleet,
    instances: Sequence[SloInstance],
    now: datetime,
    *,
    name: str | None = None,
) -> tuple[SloInstance, ...]:
    """The instances, and behind each grouped one its groups that are alive; a single group brings no others."""
    if name is not None and "/" in name:
        return tuple(instances)
    grouped = [replace(one, has_roll_up=True) for one in definitions if one.sli.is_grouped]
    bases = [one for one in instances_of(grouped, fleet) if name in (None, one.definition.name, one.id)]
    return (*instances, *await stored_groups(connection, bases, now=now))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says of some SLO instances at one moment."""

    keys: dict[str, SeriesKey]
    loaded: dict[int, LoadedSeries]
    states: dict[tuple[str, str, str], dict[str, TrackedAlert]]  # by SLO, cluster and group, then by rule
    since: dict[str, datetime]
    heard: dict[tuple[str, str], datetime]
    corrections: tuple[Correction, ...] = ()
    earlier: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)  # by instance
    first_slots: Mapping[str, int | None] = field(default_factory=dict)  # by SLO

    def series(self, instance: SloInstance) -> LoadedSeries:
        """Its slots; none where it was never measured."""
        key = self.keys.get(instance.id)
        return LoadedSeries() if key is None else self.loaded[key.id]

    def status(
        self, instance: SloInstance, now: datetime, *, lost_after: timedelta, probe_interval: timedelta | None = None
    ) -> SloStatus:
        """The state of one of them at ``now``."""
        return assess(self.measured(instance, now, lost_after=lost_after, probe_interval=probe_interval), now)

    def measured(
        self, instance: SloInstance, now: datetime, *, lost_after: timedelta, probe_interval: timedelta | None = None
    ) -> Measured:
        """All that is known of one of them at ``now``."""
        loaded = self.series(instance)
        name, cluster = instance.definition.name, instance.cluster.name
        interval_ms = _interval_ms(instance, self.keys.get(instance.id), probe_interval)
        silent_seconds, heard = _silent_seconds(loaded.series, now), self.heard.get((name, cluster))
        limit = lost_after_seconds(lost_after.total_seconds(), interval_ms=interval_ms)
        is_heard = heard is not None and (now - heard).total_seconds() < limit + _HEARD_SECONDS
        judged, corrected = None, intervals_of(self.corrections, instance)
        series = loaded.series.without(corrected) if corrected else loaded.series
        if instance.definition.slices is not None:
            judged = SliceSeries(instance.definition.slices)
            judged.follow(series, slot_at(now), corrected=corrected)
        return Measured(
            instance=instance,
            series=series,
            recent=series,
            raw=loaded.series,
            raw_recent=loaded.series,
            corrected=corrected,
            interval_ms=interval_ms,
            silent_seconds=0.0 if is_heard else silent_seconds,
            lost_after_seconds=limit,
            tracked=self.states.get((name, cluster, instance.group), {}),
            corrupt_slots=loaded.corrupt_slots,
            definition_since=self.since.get(name),
            is_heard=is_heard,
            earlier=self.earlier.get(instance.id, ()),
            since_slot=self.first_slots.get(name),
            judged=judged,
            judged_recent=judged,
        )


async def read_snapshot(store: Store, instances: Sequence[SloInstance], now: datetime, *, windows: int = 1) -> Snapshot:
    """What the store says of some instances, with so many of their windows."""
    end = slot_at(now) + 1
    async with store.read() as connection:
        keys = await find_series(connection, instances)
        needed = {keys[one.id].id: end - windows * look_back_slots(one) for one in instances if one.id in keys}
        loaded = await load_slots(connection, needed, end=end)
        return await snapshot_of(connection, instances, keys, loaded, now=now)


async def snapshot_of(
    connection: AsyncConnection,
    instances: Sequence[SloInstance],
    keys: dict[str, SeriesKey],
    loaded: dict[int, LoadedSeries],
    *,
    now: datetime,
    cluster: str | None = None,
) -> Snapshot:
    """Slots that are known, with alerts (of one cluster, if one is named) and definitions of the connection's transaction."""
    states: dict[tuple[str, str, str], dict[str, TrackedAlert]] = defaultdict(dict)
    for key, tracked in (await load_alert_states(connection, cluster=cluster)).items():
        states[key.slo, key.cluster, key.group][key.rule] = tracked
    starts = await definition_starts(connection)
    hashes = {one.definition.name: one.definition.hash for one in instances}
    since = {name: moment for name, (digest, moment) in starts.items() if hashes.get(name) == digest}
    histories = await load_histories(connection, [one.definition for one in instances])
    earlier = {
        one.id: await with_old_series(connection, one, histories[one.definition.name], now)
        for one in instances
        if one.definition.name in histories and histories[one.definition.name].earlier
    }
    return Snapshot(
        keys,
        loaded,
        states,
        since,
        await load_heard(connection),
        await load_corrections(connection),
        earlier,
        {name: one.since_slot for name, one in histories.items()},
    )


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
    async with store.read() as connection:
        instances = await with_groups(connection, definitions, fleet, instances, now, name=name)
    stored = await read_snapshot(store, instances, now)
    return tuple(stored.status(one, now, lost_after=lost_after, probe_interval=probe_interval) for one in instances)


def _interval_ms(instance: SloInstance, key: SeriesKey | None, given: timedelta | None) -> int:
    if not instance.definition.sli.is_probed:
        return instance.definition.sli.interval_ms(0)
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
    group: str = "",
    limit: int = 2_000,
) -> BurnDown:
    """What was left of the budget over the current window, in at most ``limit`` points. Raises: UnknownSlo."""
    instance = find_instance(definitions, fleet, slo=slo, cluster=cluster, group=group)
    stored = await read_snapshot(store, [instance], now, windows=2)
    at = span(instance.definition.window, now)
    points = await asyncio.to_thread(  # thousands of exact fractions where a service flaps; the event loop turns meanwhile
        burn_down_points,
        stored.measured(instance, now, lost_after=LOST_AFTER),
        at,
        limit=limit,
    )
    return BurnDown(slo=slo, cluster=cluster, group=group, start=at.start, end=at.end, points=points)


async def burn_histories(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    now: datetime,
    *,
    slo: str,
    cluster: str,
    group: str = "",
    limit: int = 240,
) -> tuple[BurnHistory, ...]:
    """How fast the budget burned, as each burn rule saw it over three of its long windows. Raises: UnknownSlo."""
    instance = find_instance(definitions, fleet, slo=slo, cluster=cluster, group=group)
    definition = instance.definition
    rules = definition.rules_for(span(definition.window, now).seconds)
    longest = max((rule.long_seconds for rule in rules), default=0)
    windows = -(-(WINDOWS_SHOWN + 1) * longest // (look_back_slots(instance) * SLOT_SECONDS))
    series = (await read_snapshot(store, [instance], now, windows=max(windows, 1))).series(instance).series
    return await asyncio.to_thread(lambda: tuple(burn_history(series, definition, rule, now, limit=limit) for rule in rules))


async def recent_alerts(
    store: Store, *, limit: int = 100, slo: str | None = None, cluster: str | None = None, group: str | None = None
) -> tuple[AlertRecord, ...]:
    """The newest alerts, firing and resolved, the one with the newest transition first."""
    async with store.read() as connection:
        return await read_alerts(connection, limit=limit, slo=slo, cluster=cluster, group=group)
