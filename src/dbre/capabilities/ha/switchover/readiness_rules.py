"""Checks of what is around the pair: applications, schema changes, disks, other work, rehearsal. Pure rules.

What a check says when it warns stands in the plan, so it is worded without what changes by itself.
"""

from collections.abc import Iterator

from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.readiness import ClientWord, Readiness, Room
from dbre.capabilities.ha.switchover.survey import Survey
from dbre.core.checks import Severity, worst_first
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration

__all__ = ["readiness_checks"]

_GRAVE = (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)


def readiness_checks(found: Survey, seen: Readiness, old: str, new: str, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    """Everything that was looked at."""
    yield from _clients(found, seen, limits)
    yield _changes(seen, old)
    yield _work(found, seen)
    yield from (_room(one, new, limits) for one in seen.rooms)
    if found.routes:
        yield _rehearsed(found, seen)


def _clients(found: Survey, seen: Readiness, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    if not seen.clients:
        yield PreCheck(
            rule="clients_known",
            subject=found.cluster.name,
            state=CheckState.WARN,
            value="no application is named, so nobody knows whether they connect again",
            limit="each application",
            source="ha: clusters: clients",
            remedy="write each with its dsn, retries and pool under clients:; dbre ha clients judges them",
        )
    yield from (_client(one, limits) for one in seen.clients)


def _client(one: ClientWord, limits: SwitchoverDocument) -> PreCheck:
    grave = [finding for finding in one.findings if finding.severity in _GRAVE]
    unsure = [finding for finding in one.findings if finding.rule.endswith("_unknown")]
    told = worst_first(grave or unsure)
    value = printable("; ".join(finding.summary for finding in told), limit=500) or "ready to come back"
    remedy = printable("; ".join(finding.fix for finding in told if finding.fix), limit=500)
    if one.error is not None:
        value, remedy = printable(one.error.message, limit=300), printable(one.error.hint or "correct its dsn", limit=300)
    return PreCheck(
        rule="client_ready",
        subject=f"client {one.name}",
        state=CheckState.WARN if told or one.error is not None else CheckState.OK,
        value=value,
        limit=f"repeats what failed, and is back within {format_duration(limits.max_client_outage.total_seconds())}",
        source="ha: clusters: clients, as dbre ha clients",
        remedy=remedy or None,
    )


def _changes(seen: Readiness, old: str) -> PreCheck:
    changes, error = seen.changes, seen.changes_error
    if changes is None:
        state, value = CheckState.WARN, printable(error.message if error is not None else "unknown", limit=300)
    elif changes:
        shown = [f"{one.words} by {one.who} for {format_duration(round(one.seconds or 0.0, 1))}" for one in changes[:5]]
        state, value = CheckState.FAIL, "; ".join(shown) + (f"; {len(changes) - 5} more" if len(changes) > 5 else "")
    else:
        state, value = CheckState.OK, "none runs"
    return PreCheck(
        rule="no_schema_change",
        subject=old,
        state=state,
        value=value,
        limit="none",
        source="facet activity: running statements",
        remedy="wait until it is done, or end it: it would be cut off, and begin from nothing",
    )


def _work(found: Survey, seen: Readiness) -> PreCheck:
    work = seen.work
    if work is None:
        state, value = CheckState.OK, "dbre has no state store here, so none of its own runs"
    elif work:
        state = CheckState.FAIL
        value = "; ".join(f"{one.kind} {one.operation}: {printable(one.summary, limit=80)}" for one in work[:5])
    else:
        state, value = CheckState.OK, "none is at work"
    return PreCheck(
        rule="no_other_work",
        subject=found.cluster.name,
        state=state,
        value=value,
        limit="no backup and no experiment on the cluster",
        source="operations of dbre",
        remedy="wait for it, or end it: dbre op list; dbre chaos stop",
    )


def _room(one: Room, new: str, limits: SwitchoverDocument) -> PreCheck:
    free, least = one.free_bytes, limits.min_free_bytes
    is_low = free is not None and free < least
    known = f"{format_bytes(free)} are free" if free is not None else None
    if is_low:
        known = f"less than {format_bytes(least)} is free"
    low = CheckState.FAIL if one.instance == new else CheckState.WARN  # leaving a full disk may be why it is done
    return PreCheck(
        rule="room_on_disk",
        subject=one.instance,
        state=low if is_low else CheckState.WARN if free is None else CheckState.OK,
        value=known or printable(one.why or "unknown", limit=200),
        limit=f"at least {format_bytes(least)}",
        source=f"statvfs of {printable(str(one.directory), limit=200)}",
        remedy="make room: a primary keeps its log until its followers have it; ha: clusters: switchover: min_free_disk",
    )


def _rehearsed(found: Survey, seen: Readiness) -> PreCheck:
    last = seen.rehearsal
    return PreCheck(
        rule="routes_rehearsed",
        subject=found.cluster.name,
        state=CheckState.OK if last is not None else CheckState.WARN,
        value=f"turned last on {last.ended_at:%Y-%m-%d}, operation {last.operation}"
        if last is not None
        else f"{counted(len(found.routes), 'route')}, never turned by dbre",
        limit="turned once before",
        source="operations of dbre: ha.switchover, ha.switch_route",
        remedy="rehearse it when few are there: dbre ha switchover there and back; dbre ha route check shows each route",
    )
