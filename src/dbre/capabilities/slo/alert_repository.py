"""Alert states and alerts in the state store; what others hear of is written in the same transaction as an event."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.alert_state import AlertState, TrackedAlert, Transition
from dbre.capabilities.slo.model import AlertChange, AlertKey, AlertRecord
from dbre.capabilities.slo.tables import slo_alert_states, slo_alerts
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.core.events import EventLog
from dbre.core.store import Store

__all__ = ["apply_changes", "load_alert_states", "read_alerts"]


async def load_alert_states(connection: AsyncConnection, *, cluster: str | None = None) -> dict[AlertKey, TrackedAlert]:
    """Every alert that is not inactive, or those of one cluster."""
    statement = select(slo_alert_states)
    if cluster is not None:
        statement = statement.where(slo_alert_states.c.cluster == cluster)
    return {
        AlertKey(slo=row.slo, cluster=row.cluster, rule=row.rule, group=row.group_key): TrackedAlert(
            state=AlertState(row.state), since=row.since, fired_at=row.fired_at, alert_id=row.alert_id
        )
        for row in await connection.execute(statement)
    }


async def apply_changes(connection: AsyncConnection, store: Store, events: EventLog, changes: Sequence[AlertChange]) -> None:
    """Write state, alert and event of each change in the caller's transaction."""
    for change in changes:
        await _write_state(connection, store, change)
        if change.transition is not None and change.record is not None:
            await _write_transition(connection, store, events, change.transition, change.record)


async def _write_state(connection: AsyncConnection, store: Store, change: AlertChange) -> None:
    key, tracked = change.key, change.tracked
    if tracked.state is AlertState.INACTIVE:
        table = slo_alert_states
        where = (table.c.slo == key.slo) & (table.c.cluster == key.cluster) & (table.c.group_key == key.group)
        await connection.execute(delete(table).where(where, table.c.rule == key.rule))
        return
    row = {
        "slo": key.slo,
        "cluster": key.cluster,
        "group_key": key.group,
        "rule": key.rule,
        "state": tracked.state.value,
        "since": tracked.since,
        "fired_at": tracked.fired_at,
        "alert_id": tracked.alert_id,
    }
    keys = ("slo", "cluster", "group_key", "rule")
    await store.insert_or_update(slo_alert_states, [row], keys=keys, connection=connection)


async def _write_transition(
    connection: AsyncConnection, store: Store, events: EventLog, transition: Transition, record: AlertRecord
) -> None:
    newest = (await connection.execute(select(func.max(slo_alerts.c.sequence)))).scalar()
    sequence = (newest or 0) + 1
    row = {
        "alert_id": record.alert_id,
        "sequence": sequence,
        "slo": record.slo,
        "cluster": record.cluster,
        "group_key": record.group,
        "rule": record.rule,
        "severity": record.severity.value,
        "fired_at": record.fired_at,
        "resolved_at": record.resolved_at,
        "burn_rate": record.burn_rate,
        "threshold": record.threshold,
        "budget_remaining_ratio": record.budget_remaining_ratio,
        "window_seconds": record.window_seconds,
        "telemetry_state": record.telemetry_state.value,
        "summary": record.summary,
    }
    await store.insert_or_update(slo_alerts, [row], keys=("alert_id",), connection=connection)
    told: dict[str, object] = {**row, "fired_at": _text(record.fired_at), "resolved_at": _text(record.resolved_at)}
    told["group"] = told.pop("group_key")
    await events.emit(connection, kind=f"slo.alert_{transition}", subject=record.instance, data=told)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


async def read_alerts(
    connection: AsyncConnection,
    *,
    limit: int = 100,
    slo: str | None = None,
    cluster: str | None = None,
    group: str | None = None,
) -> tuple[AlertRecord, ...]:
    """The newest alerts, the one with the newest transition first."""
    statement = select(slo_alerts).order_by(slo_alerts.c.sequence.desc()).limit(limit)
    if slo is not None:
        statement = statement.where(slo_alerts.c.slo == slo)
    if cluster is not None:
        statement = statement.where(slo_alerts.c.cluster == cluster)
    if group is not None:
        statement = statement.where(slo_alerts.c.group_key == group)
    return tuple(
        AlertRecord(
            alert_id=row.alert_id,
            sequence=row.sequence,
            slo=row.slo,
            cluster=row.cluster,
            rule=row.rule,
            severity=Severity(row.severity),
            fired_at=row.fired_at,
            resolved_at=row.resolved_at,
            burn_rate=row.burn_rate,
            threshold=row.threshold,
            budget_remaining_ratio=row.budget_remaining_ratio,
            window_seconds=row.window_seconds,
            telemetry_state=TelemetryState(row.telemetry_state),
            summary=row.summary,
            group=row.group_key,
        )
        for row in await connection.execute(statement)
    )
