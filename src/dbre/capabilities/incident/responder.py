"""Opens, joins and ends incidents as alerts come and go, and writes down what happens meanwhile."""

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.correlation import Candidate, Rules, find_home, severity_of
from dbre.capabilities.incident.errors import NoSuchIncident
from dbre.capabilities.incident.impact import ImpactSource
from dbre.capabilities.incident.ledger import Entry, Ledger, Telling
from dbre.capabilities.incident.model import Change, Incident, IncidentAlert, Severity, TimelineKind, new_incident, reopened
from dbre.capabilities.incident.operation_steps import step_entries
from dbre.capabilities.incident.repository import (
    alerts_of,
    count_entries,
    find_alert,
    find_incident,
    keep_alert,
    list_incidents,
    next_number,
)
from dbre.capabilities.incident.states import ENDED, OPEN, REOPEN_WITHIN, IncidentState
from dbre.capabilities.incident.timeline import TIMELINE_KINDS, Happening, happening_of
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import Event, Subscription, recent
from dbre.core.fleet import Fleet
from dbre.core.moments import moment_from
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.text import one_line

__all__ = ["ACTOR", "Responder", "over_since"]

ACTOR = "dbre"
"""Who opens and ends incidents by itself."""

_FIRED = ("slo.alert_fired", "alertmanager.alert_fired")
_OVER = ("slo.alert_resolved", "alertmanager.alert_resolved")
_FOREIGN_BURN = 14.4  # a page of another system says nothing of budgets: it counts as a fast burn
_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0  # how long an opening incident waits for the measured beginning of its impact
_LOOK_BACK_EVENTS = 2_000
_MOST_LINES = 5_000
_FULL = f"more than {_MOST_LINES} lines: what happens by itself is not written down any more (dbre events list)"
_RECENT = 200  # ended incidents of a cluster that an alert may open again
_log = structlog.get_logger(__name__)


class Responder:
    """Handles events in their order; an event that comes again changes nothing."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        clock: Clock,
        *,
        rules: Rules,
        impact: ImpactSource,
        resolve_after: timedelta,
        look_back: timedelta,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._rules = rules
        self._impact = impact
        self._resolve_after = resolve_after
        self._look_back = look_back
        self._ledger = Ledger(clock)

    def subscription(self) -> Subscription:
        """What the control plane delivers to it."""
        return Subscription(name="incidents", kinds=TIMELINE_KINDS, handler=self, timeout_seconds=60.0)

    async def __call__(self, event: Event) -> None:
        """Take in one event."""
        if event.kind in _FIRED:
            await self._fired(event)
        elif event.kind in _OVER:
            await self._over(event)
        await self._write_down(event)

    async def run(self) -> None:
        """End incidents that have stayed quiet, until cancelled."""
        while True:
            try:
                await self.end_quiet()
            except StoreError as error:  # the store's own part of the control plane tells of it
                _log.warning("quiet_incidents_not_ended", reason=error.message)
            await self._clock.sleep(_LOOK_SECONDS)

    async def end_quiet(self) -> int:
        """Resolve every monitored incident whose alerts have all been over for long enough; their number."""
        async with self._store.read() as connection:
            waiting = await list_incidents(connection, states=[IncidentState.MONITORING], limit=None)
        if not waiting:
            return 0
        ended = 0
        async with self._store.begin() as connection:
            for one in await list_incidents(connection, states=[IncidentState.MONITORING], limit=None):
                ended += await self._end_if_quiet(connection, one)
        return ended

    async def _end_if_quiet(self, connection: AsyncConnection, one: Incident) -> bool:
        alerts = await alerts_of(connection, [one.id])
        over = over_since(alerts)
        if over is None or self._clock.now() - max(over, one.changed_at) < self._resolve_after:
            return False
        entry = Entry(text="resolved: every alert is over, and nothing happened since")
        after = replace(one, state=IncidentState.RESOLVED, resolved_at=over, mitigated_at=one.mitigated_at or over)
        await self._ledger.change(connection, one, after, Telling(event="resolved"), by=ACTOR, entry=entry)
        return True

    async def _fired(self, event: Event) -> None:
        alert = _alert_of(event)
        if alert.severity != "page":
            await self._store.grouped(lambda connection: self._attach_ticket(connection, alert))
            return
        began = await self._began(event, alert)
        await self._store.grouped(lambda connection: self._take_in(connection, event, alert, began))

    async def _began(self, event: Event, alert: IncidentAlert) -> datetime:
        seconds = event.data.get("window_seconds")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                found = await self._impact.began(
                    slo=alert.slo,
                    cluster=alert.cluster,
                    group=alert.group,
                    fired_at=alert.fired_at,
                    window_seconds=seconds if isinstance(seconds, int) else 0,
                )
        except Exception as error:  # noqa: BLE001 (whatever hinders the measurement, people are told of the page)
            _log.warning("impact_not_measured", alert=alert.alert_id, reason=one_line(str(error)) or type(error).__name__)
            found = None
        return min(found, alert.fired_at) if found is not None else alert.fired_at

    async def _attach_ticket(self, connection: AsyncConnection, alert: IncidentAlert) -> None:
        if await find_alert(connection, alert.alert_id) is not None:
            return
        for candidate in await self._candidates(connection, alert):
            if candidate.incident.is_open and any(one.instance == alert.instance for one in candidate.alerts):
                await keep_alert(connection, replace(alert, incident_id=candidate.incident.id))
                return

    async def _take_in(self, connection: AsyncConnection, event: Event, alert: IncidentAlert, began: datetime) -> None:
        if await find_alert(connection, alert.alert_id) is not None:
            return  # delivered before, or its end was
        text = one_line(f"{alert.severity} alert {alert.rule} of {alert.instance} fired: {event.data.get('summary')}")
        entry = Entry(text=text, kind=TimelineKind.ALERT, at=alert.fired_at, key=str(event.id))
        severity = severity_of(
            burn_rate=alert.burn_rate if event.kind == _FIRED[0] else _FOREIGN_BURN,
            remaining_ratio=_number(event.data.get("budget_remaining_ratio")),
            tier=labels_of(f"cluster/{alert.cluster}", self._fleet).get("tier"),
        )
        home = find_home(alert, await self._candidates(connection, alert), self._rules)
        if home is None:
            await self._open(connection, alert, _title(event, alert), severity, began, entry)
        else:
            await self._join(connection, alert, home[0], severity, began, entry)

    async def _open(
        self,
        connection: AsyncConnection,
        alert: IncidentAlert,
        title: str,
        severity: Severity,
        began: datetime,
        entry: Entry,
    ) -> None:
        number, now = await next_number(connection), self._clock.now()
        incident = new_incident(
            self._ledger.new_id(),
            number,
            title=title,
            severity=severity,
            cluster=alert.cluster,
            by=ACTOR,
            started_at=began,
            detected_at=alert.fired_at,
            now=now,
        )
        incident = replace(incident, slo=alert.slo, group=alert.group, state=IncidentState.DETECTED)
        await self._ledger.open(connection, incident, by=ACTOR, entry=entry)
        await keep_alert(connection, replace(alert, incident_id=incident.id))
        await self._write_down_earlier(connection, incident, {alert.cluster})

    async def _join(
        self,
        connection: AsyncConnection,
        alert: IncidentAlert,
        home: Candidate,
        severity: Severity,
        began: datetime,
        entry: Entry,
    ) -> None:
        before = home.incident
        after = replace(before, started_at=min(before.started_at, began), urgency="page")
        if not before.is_severity_set:
            after = replace(after, severity=min(before.severity, severity))  # sev1 sorts before sev2
        telling = Telling(event="updated", change=Change.ALERT)
        if not before.is_open:
            after, telling = reopened(after, IncidentState.DETECTED), Telling(event="reopened")
        elif before.state in (IncidentState.MONITORING, IncidentState.MITIGATED):
            state = IncidentState.INVESTIGATING if before.assignee else IncidentState.DETECTED
            after = replace(after, state=state, mitigated_at=None)  # it hurts again
        written = await self._ledger.change(connection, before, after, telling, by=ACTOR, entry=entry)
        await keep_alert(connection, replace(alert, incident_id=written.id))
        if alert.cluster not in home.clusters or written.started_at < before.started_at:  # else it was written down before
            await self._write_down_earlier(connection, written, {alert.cluster})

    async def _candidates(self, connection: AsyncConnection, alert: IncidentAlert) -> Sequence[Candidate]:
        incidents = list(await list_incidents(connection, states=OPEN, limit=None))
        ended = await list_incidents(connection, states=ENDED, cluster=alert.cluster, limit=_RECENT)
        incidents += [one for one in ended if one.resolved_at and alert.fired_at - one.resolved_at <= REOPEN_WITHIN]
        alerts = await alerts_of(connection, [one.id for one in incidents])
        return [Candidate(incident=one, alerts=[a for a in alerts if a.incident_id == one.id]) for one in incidents]

    async def _over(self, event: Event) -> None:
        alert = _alert_of(event)
        await self._store.grouped(lambda connection: self._end_alert(connection, event, alert))

    async def _end_alert(self, connection: AsyncConnection, event: Event, alert: IncidentAlert) -> None:
        known = await find_alert(connection, alert.alert_id)
        ended_at = alert.resolved_at or event.at
        if known is None:  # the end before the beginning: what begins later under this id opens nothing any more
            await keep_alert(connection, replace(alert, resolved_at=ended_at))
            return
        if known.resolved_at is not None:
            return
        await keep_alert(connection, replace(known, resolved_at=ended_at))
        if known.incident_id is None or known.severity != "page":
            return
        before = await find_incident(connection, known.incident_id)
        over = over_since(await alerts_of(connection, [before.id]))
        if not before.is_open or over is None:
            return
        entry = Entry(text="every alert is over", at=over, key=f"over/{event.id}")
        after = replace(before, state=IncidentState.MONITORING, mitigated_at=before.mitigated_at or over)
        await self._ledger.change(
            connection, before, after, Telling(event="updated", change=Change.STATE), by=ACTOR, entry=entry
        )

    async def _write_down(self, event: Event) -> None:
        happening = happening_of(event)
        if happening is None:
            return
        async with self._store.read() as connection:
            homes = await _homes(connection, happening)
            steps = await step_entries(connection, event) if homes else ()
        if homes:
            await self._store.grouped(lambda connection: self._record(connection, homes, happening, steps))

    async def _record(
        self, connection: AsyncConnection, homes: Sequence[UUID], happening: Happening, steps: Sequence[Entry]
    ) -> None:
        told = [(entry, happening.actor) for entry in (happening.entry, *steps)]
        for incident_id in homes:
            if await count_entries(connection, incident_id) < _MOST_LINES:
                await self._ledger.record_all(connection, incident_id, told)
            else:  # a probe that flaps for weeks; what people do and decide is written all the same
                await self._ledger.record(connection, incident_id, Entry(text=_FULL, kind=TimelineKind.TELEMETRY, key="full"))

    async def _write_down_earlier(self, connection: AsyncConnection, incident: Incident, clusters: Collection[str]) -> None:
        """What happened to the cluster shortly before: the cause often comes before the alert."""
        since = incident.started_at - self._look_back
        earlier = [happening_of(event) for event in await recent(connection, _LOOK_BACK_EVENTS, since=since)]
        found = [one for one in earlier if one is not None and one.cluster in clusters]
        await self._ledger.record_all(connection, incident.id, [(one.entry, one.actor) for one in found])


def over_since(alerts: Sequence[IncidentAlert]) -> datetime | None:
    """When the last page alert ended; None while one fires, or where there was none."""
    ends = [one.resolved_at for one in alerts if one.severity == "page"]
    return None if not ends or None in ends else max(end for end in ends if end is not None)


async def _homes(connection: AsyncConnection, happening: Happening) -> Sequence[UUID]:
    if happening.incident_id is not None:
        try:
            return [(await find_incident(connection, UUID(happening.incident_id))).id]
        except (ValueError, NoSuchIncident):
            return []  # the thread of a ticket, or of an incident that another store has
    if happening.alert_id is not None:
        alert = await find_alert(connection, happening.alert_id)
        return [] if alert is None or alert.incident_id is None else [alert.incident_id]
    incidents = await list_incidents(connection, states=OPEN, cluster=happening.cluster, limit=None)
    return [one.id for one in incidents]


def _alert_of(event: Event) -> IncidentAlert:
    data = event.data
    return IncidentAlert(
        alert_id=str(data.get("alert_id") or event.id)[:200],
        incident_id=None,
        slo=str(data.get("slo") or data.get("rule") or ""),
        cluster=str(data.get("cluster", "")),
        group=str(data.get("group") or ""),
        rule=str(data.get("rule", "")),
        severity=str(data.get("severity", "page"))[:20],
        fired_at=moment_from(data.get("fired_at")) or event.at,
        resolved_at=moment_from(data.get("resolved_at")),
        burn_rate=_number(data.get("burn_rate")),
    )


def _title(event: Event, alert: IncidentAlert) -> str:
    if event.kind == _FIRED[0]:
        return one_line(f"{alert.instance} burns its error budget", limit=200)
    return one_line(f"{alert.rule}: {event.data.get('summary') or 'an alert of Alertmanager'}", limit=200)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None
