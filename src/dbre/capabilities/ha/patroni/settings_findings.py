"""What is wrong with the settings that decide how long an outage lasts: pure functions of what was read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.patroni.settings_reading import ServerSettings
from dbre.core.checks import Finding, Severity, worst_first
from dbre.core.units import format_duration
from dbre.ports.lease_settings import PRESETS, LeaseSettings, SynchronousMode, wrong_settings

__all__ = ["Difference", "differences", "nearest_preset", "settings_findings"]

_MOST_REPLICATION_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting beside that of a preset."""

    name: str
    value: object
    preset: object

    @property
    def is_same(self) -> bool:
        """Whether nothing is to be changed."""
        return self.value == self.preset


def nearest_preset(settings: LeaseSettings) -> str:
    """The preset whose lease is nearest; of equals the first."""
    return min(PRESETS, key=lambda name: abs(PRESETS[name].ttl - settings.ttl))


def differences(settings: LeaseSettings, preset: LeaseSettings) -> tuple[Difference, ...]:
    """Every setting beside the preset's."""
    here, there = settings.as_document(), preset.as_document()
    return tuple(Difference(name=name, value=value, preset=there[name]) for name, value in here.items())


def settings_findings(
    cluster: str, preset: str, config: Mapping[str, Any], settings: LeaseSettings, servers: Sequence[ServerSettings]
) -> list[Finding]:
    """Everything that is wrong, the worst first."""
    found = [*_rules(cluster, settings), *_preset(cluster, preset, settings), *_modes(cluster, config, settings)]
    for server in servers:
        found.extend(_server(server))
    return worst_first(found)


def _rules(cluster: str, settings: LeaseSettings) -> Iterator[Finding]:
    for sentence in wrong_settings(settings):
        yield Finding(
            rule="ha.settings_rule",
            severity=Severity.ERROR,
            subject=cluster,
            summary=sentence,
            fix="Patroni works with other values than these, and says so only in its log: write what it can keep",
        )


def _preset(cluster: str, name: str, settings: LeaseSettings) -> Iterator[Finding]:
    other = [one for one in differences(settings, PRESETS[name]) if not one.is_same]
    if other:
        words = ", ".join(f"{one.name} is {_word(one.value)} and not {_word(one.preset)}" for one in other)
        yield Finding(
            rule="ha.settings_differ",
            severity=Severity.INFO,
            subject=cluster,
            summary=f"not the preset {name}: {words}",
            evidence={one.name: {"value": one.value, "preset": one.preset} for one in other},
            fix=f"the preset was measured; these settings were not: {_edit(other)}",
        )


def _edit(other: Sequence[Difference]) -> str:
    sets = " ".join(f"-s {one.name}={_word(one.preset)}" for one in other)
    return f"patronictl edit-config {sets}"


def _word(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _modes(cluster: str, config: Mapping[str, Any], settings: LeaseSettings) -> Iterator[Finding]:
    if settings.synchronous_mode is SynchronousMode.OFF:
        yield Finding(
            rule="ha.asynchronous",
            severity=Severity.WARNING,
            subject=cluster,
            summary="commits wait for no replica: each failover may lose the last ones that were acknowledged",
            fix="patronictl edit-config -s synchronous_mode=quorum; a primary that is cut off then acknowledges nothing",
        )
    if settings.primary_start_timeout > 0:
        yield Finding(
            rule="ha.crash_waits",
            severity=Severity.INFO,
            subject=cluster,
            summary=f"a primary that crashed may try to come back for {settings.primary_start_timeout} s before another takes "
            "its place",
            fix="patronictl edit-config -s primary_start_timeout=0 promotes at once; lossless in synchronous mode only",
        )
    spare = settings.ttl - settings.loop_wait - 2 * settings.retry_timeout
    if config.get("failsafe_mode") is True and 0 <= spare < settings.loop_wait + 1:
        yield Finding(
            rule="ha.failsafe_margin",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"failsafe_mode is on and the lease leaves {spare} s beside loop_wait + 2 x retry_timeout: a primary that "
            "asks its members at the last moment may lose the race for the lease",
            fix=f"raise ttl to {settings.ttl + settings.loop_wait + 1 - spare} s or more",
        )


def _server(server: ServerSettings) -> Iterator[Finding]:
    if server.error is not None:
        yield Finding(
            rule="ha.not_asked",
            severity=Severity.ERROR,
            subject=server.instance,
            summary=f"the settings of {server.instance} are not known: {server.error.message}",
            fix=server.error.hint,
        )
        return
    for name in ("wal_sender_timeout", "wal_receiver_timeout"):
        value = server.milliseconds.get(name)
        if value is not None and (value == 0 or value > _MOST_REPLICATION_MS):
            yield _late(server, name, value, "a broken connection of replication is noticed late", "10s")
    for name, harm in (
        ("tcp_user_timeout", "sessions of clients that vanished keep their locks, for a quarter of an hour"),
        ("client_connection_check_interval", "a query whose client is gone runs to its end"),
    ):
        if server.milliseconds.get(name) == 0:
            yield _late(server, name, 0, harm, "10s")
    if server.is_replica and server.upstream_timeout_ms == 0:
        yield Finding(
            rule="ha.upstream_waits",
            severity=Severity.WARNING,
            subject=server.instance,
            summary=f"{server.instance} receives without tcp_user_timeout: what it sends to a dead primary hangs for a quarter "
            "of an hour, and from version 17 on a promotion can wait for it",
            fix="Patroni leaves the key out of primary_conninfo: start it with PGSERVICEFILE and PGSERVICE in its environment, "
            "the file holding tcp_user_timeout=5000",
        )


def _late(server: ServerSettings, name: str, value: int, harm: str, better: str) -> Finding:
    shown = "off" if value == 0 else format_duration(value / 1000)
    return Finding(
        rule=f"ha.{name}",
        severity=Severity.WARNING,
        subject=server.instance,
        summary=f"{name} of {server.instance} is {shown}: {harm}",
        evidence={"milliseconds": value},
        fix=f"patronictl edit-config -p {name}={better}",
    )
