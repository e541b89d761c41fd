"""Checks ``replication``, ``settings`` and ``activity``: what the servers themselves say of their state."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from dbre.capabilities.review.contact_rules import finding_of
from dbre.capabilities.review.looking import Answers, ClusterLook
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.activity import ActivitySummary
from dbre.ports.engine import Server
from dbre.ports.replication import ReplicationStatus
from dbre.ports.session import Role
from dbre.ports.settings import Setting
from dbre.ports.settings_drift import drift_between

__all__ = ["check_activity", "check_replication", "check_settings"]

LAG_SECONDS = (60.0, 600.0)  # from here on a warning, an error
LAG_BYTES = (256 * 2**20, 4 * 2**30)
SESSIONS_RATIO = (0.8, 0.95)
TRANSACTION_SECONDS = (3600.0, 86_400.0)
BLOCKED_SESSIONS = 5
SKEW_SECONDS = (1.0, 10.0)
_MOST = 20  # findings of one rule on one cluster

Answer = TypeVar("Answer")


async def check_replication(look: ClusterLook) -> Sequence[Finding]:
    """Rules ``replication.not_streaming`` and ``replication.lag``."""

    async def ask(server: Server) -> ReplicationStatus:
        return await server.replication.status()

    answers = await _asked(look, ask)
    return [
        *_failures(answers, "replication"),
        *(finding for name, status in answers.given.items() for finding in _of_replica(name, status)),
    ]


async def check_settings(look: ClusterLook) -> Sequence[Finding]:
    """Rules ``settings.pending_restart``, ``settings.drift``, ``settings.destructive`` and ``settings.dangerous``."""

    async def ask(server: Server) -> Sequence[Setting]:
        return await server.settings.list()

    answers = await _asked(look, ask)
    return [
        *_failures(answers, "settings"),
        *(finding for name, found in answers.given.items() for finding in _of_settings(name, found)),
        *(await _drift(look, answers.given)),
    ]


async def check_activity(look: ClusterLook) -> Sequence[Finding]:
    """Rules ``activity.saturated``, ``long_transaction``, ``blocked``, and ``clock.skew``."""

    async def ask(server: Server) -> tuple[ActivitySummary, datetime, float]:
        await server.activity.summary()  # so that opening the connection is no part of the time
        began = look.clock.monotonic()
        summary = await server.activity.summary()
        return summary, look.clock.now(), look.clock.monotonic() - began

    answers = await _asked(look, ask)
    return [
        *_failures(answers, "activity"),
        *(finding for name, (summary, _, _) in answers.given.items() for finding in _of_activity(name, summary)),
        *(finding for name, answer in answers.given.items() for finding in _skew(name, *answer)),
    ]


async def _asked(look: ClusterLook, question: Callable[[Server], Awaitable[Answer]]) -> Answers[Answer]:
    try:
        return await look.ask(question)
    except DbreError:  # check ``contact`` says why nobody could be asked
        return Answers(given={}, failed={}, impossible={})


def _failures(answers: Answers[Answer], what: str) -> Iterator[Finding]:
    """What could not be looked at; missing privileges are the affair of check ``contact``."""
    for name, error in answers.failed.items():
        yield finding_of(error, rule=f"{what}.not_checked", subject=name, severity=Severity.WARNING)


def _worse(value: float, limits: tuple[float, float]) -> Severity | None:
    return Severity.ERROR if value >= limits[1] else Severity.WARNING if value >= limits[0] else None


def _of_replica(name: str, status: ReplicationStatus) -> Iterator[Finding]:
    if status.role is not Role.REPLICA:
        return
    if status.is_receiving is False:
        yield Finding(
            rule="replication.not_streaming",
            severity=Severity.ERROR,
            subject=name,
            summary="it receives nothing from its primary"
            + (f" {printable(status.upstream, limit=100)}" if status.upstream else ""),
            evidence={"upstream": status.upstream},
            fix="see the log of the replica; check the primary, the network, the login and its slot",
        )
    seconds, size = status.replay_lag_seconds, status.replay_lag_bytes
    severity = _worse(seconds, LAG_SECONDS) if seconds is not None else _worse(size or 0, LAG_BYTES)
    if severity is not None:
        behind = [format_duration(seconds) if seconds is not None else None, format_bytes(size) if size is not None else None]
        yield Finding(
            rule="replication.lag",
            severity=severity,
            subject=name,
            summary=f"it is {' and '.join(filter(None, behind))} behind its primary; the limit is "
            f"{format_duration(LAG_SECONDS[0])} or {format_bytes(LAG_BYTES[0])}",
            evidence={"replay_lag_seconds": seconds, "replay_lag_bytes": size},
            fix="look for a long query on the replica, a slow disk, or much writing on the primary",
        )


def _of_settings(name: str, settings: Sequence[Setting]) -> Iterator[Finding]:
    waiting = [one.name for one in settings if one.is_pending_restart]
    if waiting:
        yield Finding(
            rule="settings.pending_restart",
            severity=Severity.WARNING,
            subject=name,
            summary=f"{counted(len(waiting), 'parameter')} waiting for a restart: {', '.join(waiting[:_MOST])}",
            evidence={"parameters": waiting},
            fix="restart it when it suits, or take the change back",
        )
    for one in settings:
        if one.danger is not None:
            yield Finding(
                rule="settings.destructive" if one.is_destructive else "settings.dangerous",
                severity=Severity.ERROR if one.is_destructive else Severity.WARNING,
                subject=name,
                summary=f"{one.name} is {printable(one.value or '', limit=60)}: {one.danger}",
                evidence={"parameter": one.name, "value": one.value, "source": one.source},
                fix="set it back, unless the data may be lost",
            )


async def _drift(look: ClusterLook, settings: Mapping[str, Sequence[Setting]]) -> Sequence[Finding]:
    versions = {one.name: one.identity.version for one in await look.instances() if one.identity} if settings else {}
    if len({versions.get(name) for name in settings}) != 1:
        return []  # other versions have other defaults: fleet.versions_differ says enough
    drifted = drift_between(settings)
    findings = [
        Finding(
            rule="settings.drift",
            severity=Severity.WARNING,
            subject=look.cluster.name,
            summary=f"{one.name} differs: " + ", ".join(f"{name} {_value(value)}" for name, value in one.values.items()),
            evidence={"parameter": one.name, "unit": one.unit, "values": dict(one.values)},
            fix=f"make them alike: dbre settings diff {look.cluster.name}, dbre settings apply {look.cluster.name} NAME=VALUE",
        )
        for one in drifted[:_MOST]
    ]
    if len(drifted) > _MOST:
        findings.append(
            Finding(
                rule="settings.drift",
                severity=Severity.WARNING,
                subject=look.cluster.name,
                summary=f"{counted(len(drifted) - _MOST, 'more parameter')} differ",
                fix=f"dbre settings diff {look.cluster.name}",
            )
        )
    return findings


def _value(value: str | None) -> str:
    return "(withheld)" if value is None else printable(value, limit=60) or "''"


def _of_activity(name: str, summary: ActivitySummary) -> Iterator[Finding]:
    sessions = sum(summary.sessions_by_state.values())
    severity = _worse(sessions / summary.max_sessions, SESSIONS_RATIO) if summary.max_sessions > 0 else None
    if severity is not None:
        yield Finding(
            rule="activity.saturated",
            severity=severity,
            subject=name,
            summary=f"{sessions} of {summary.max_sessions} sessions are taken; the limit is {SESSIONS_RATIO[0]:.0%}",
            evidence={"sessions": sessions, "max_sessions": summary.max_sessions, "states": dict(summary.sessions_by_state)},
            fix="find who holds them; use a pooler",
        )
    longest = summary.longest_transaction_seconds
    severity = _worse(longest, TRANSACTION_SECONDS) if longest is not None else None
    if severity is not None and longest is not None:
        yield Finding(
            rule="activity.long_transaction",
            severity=severity,
            subject=name,
            summary=f"a transaction has been open for {format_duration(longest)}; the limit is "
            f"{format_duration(TRANSACTION_SECONDS[0])}",
            evidence={"longest_transaction_seconds": longest},
            fix="find its session and end it: nothing that it may still see can be cleaned up",
        )
    blocked = summary.blocked_sessions or 0
    if blocked:
        yield Finding(
            rule="activity.blocked",
            severity=Severity.WARNING if blocked >= BLOCKED_SESSIONS else Severity.INFO,
            subject=name,
            summary=f"{counted(blocked, 'session')} wait for locks" if blocked > 1 else "1 session waits for a lock",
            evidence={"blocked_sessions": blocked},
            fix="find who holds the lock",
        )


def _skew(name: str, summary: ActivitySummary, seen_at: datetime, took_seconds: float) -> Iterator[Finding]:
    """The server looked at its clock some time within the question: what is beyond that time is skew."""
    ahead = (summary.measured_at - seen_at).total_seconds()
    skew = max(ahead, 0.0) if ahead > 0 else max(-ahead - took_seconds, 0.0)
    severity = _worse(skew, SKEW_SECONDS)
    if severity is not None:
        word = "ahead of" if ahead > 0 else "behind"
        yield Finding(
            rule="clock.skew",
            severity=severity,
            subject=name,
            summary=f"its clock is {format_duration(skew)} {word} dbre's; the limit is {format_duration(SKEW_SECONDS[0])}",
            evidence={"skew_seconds": skew if ahead > 0 else -skew},
            fix="check that both machines follow a time server",
        )
