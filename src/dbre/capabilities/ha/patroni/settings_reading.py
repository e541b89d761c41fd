"""The settings that decide how long an outage lasts: Patroni's from Patroni, the servers' from the servers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.patroni.access import patroni_of, prepare
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.ports.contact import contact
from dbre.ports.engine import EngineRegistry
from dbre.ports.lease_settings import LeaseSettings, SynchronousMode
from dbre.ports.session import Role

__all__ = ["SERVER_SETTINGS", "ServerSettings", "lease_settings", "read_config", "read_servers"]

SERVER_SETTINGS = ("wal_sender_timeout", "wal_receiver_timeout", "tcp_user_timeout", "client_connection_check_interval")
_DEFAULTS = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "primary_start_timeout": 300}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What one server has in force. Times are milliseconds, 0 is off, None is unknown."""

    instance: str
    error: DbreError | None = None  # it did not answer
    milliseconds: Mapping[str, int | None]
    is_replica: bool = False
    upstream_timeout_ms: int | None = None  # of the connection over which it receives


async def read_config(document: PatroniDocument) -> Mapping[str, Any]:
    """Patroni's dynamic configuration. Raises: Unreachable, SecretUnavailable."""
    await prepare(document)
    async with patroni_of(document) as patroni:
        return await patroni.config()


def lease_settings(config: Mapping[str, Any]) -> LeaseSettings:
    """What a configuration says, with Patroni's defaults for what it leaves out or writes as no number."""

    def number(name: str) -> int:
        value = config.get(name, _DEFAULTS[name])
        try:
            return int(value)
        except (TypeError, ValueError):
            return _DEFAULTS[name]

    return LeaseSettings(
        ttl=number("ttl"),
        loop_wait=number("loop_wait"),
        retry_timeout=number("retry_timeout"),
        primary_start_timeout=number("primary_start_timeout"),
        synchronous_mode=_mode(config.get("synchronous_mode")),
    )


def _mode(value: object) -> SynchronousMode:
    if str(value).lower() == "quorum":
        return SynchronousMode.QUORUM
    return SynchronousMode.ON if str(value).lower() in ("true", "on", "yes", "1") else SynchronousMode.OFF


async def read_servers(engines: EngineRegistry, cluster: Cluster) -> tuple[ServerSettings, ...]:
    """What every server has in force; one that does not answer is told. Raises: SecretUnavailable."""
    return tuple(await asyncio.gather(*(_read(engines, cluster, one) for one in cluster.instances)))


async def _read(engines: EngineRegistry, cluster: Cluster, instance: Instance) -> ServerSettings:
    try:
        async with contact(engines, cluster, instance.address, purpose="ha") as server:
            given = {one.name: one for one in await server.settings.list()}
            view = await server.topology.view(heartbeat=cluster.name)
    except DbreError as error:
        return ServerSettings(instance=instance.name, error=error, milliseconds={})
    known = {name: given[name] for name in SERVER_SETTINGS if name in given}
    upstream = next(iter(view.upstreams), None)
    return ServerSettings(
        instance=instance.name,
        milliseconds={name: _milliseconds(one.value, one.unit) for name, one in known.items()},
        is_replica=view.role is Role.REPLICA,
        upstream_timeout_ms=upstream.user_timeout_ms if upstream is not None and upstream.is_receiving else None,
    )


def _milliseconds(value: str | None, unit: str | None) -> int | None:
    factors = {"ms": 1, "s": 1000, "min": 60_000}
    if value is None or not value.isdigit() or unit not in factors:
        return None
    return int(value) * factors[unit]
