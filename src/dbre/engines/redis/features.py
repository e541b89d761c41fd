"""The rows of the support matrix that Redis and Valkey fill."""

from collections.abc import Collection

from dbre.engines.redis.commands import named
from dbre.engines.redis.facts import LOGIN, Product
from dbre.ports.engine import Facet, Feature

__all__ = ["FEATURES", "with_joined"]

_UNPROVED = "not yet proved on a Valkey server"

# facet, name, commands, note
_TABLE: tuple[tuple[Facet, str, tuple[str, ...], str], ...] = (
    (Facet.SESSION, "product, version, role, start time", ("info", "time", "login"), ""),
    (Facet.SESSION, "privileges of the login", (), "found out by trying"),
    (Facet.PROBE, "connect and role, phases timed apart", ("role",), ""),
    (Facet.PROBE, "write and read back", ("heartbeat_write", "heartbeat_read"), "no commit of its own"),
    (Facet.PROBE, "heartbeat read on a replica", ("heartbeat_read",), ""),
    (Facet.ACTIVITY, "sessions counted by state", ("sessions", "info", "time"), ""),
    (Facet.ACTIVITY, "sessions used last", ("sessions",), ""),
    (Facet.REPLICATION, "upstream, lag in bytes", ("info", "time"), "nobody measures the lag's age"),
    (Facet.REPLICATION, "replicas that are fed, with lag in bytes", ("info", "time"), ""),
    (Facet.SETTINGS, "parameters with value", ("settings",), "no defaults, no source"),
    (Facet.STATISTICS, "counters, memory, keys", ("info",), ""),
    (Facet.STATISTICS, "calls and time by command", ("command_statistics",), ""),
)


def _needed(commands: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(named(command).privilege for command in commands)) or (LOGIN,)


def _joined(commands: Collection[str]) -> str:
    return " ".join(_needed(commands))


FEATURES: tuple[Feature, ...] = tuple(
    Feature(
        facet=facet,
        name=name,
        versions=">=6.2",
        privilege=_joined(commands),
        products=(product.value,),
        note="; ".join(filter(None, (note, _UNPROVED if product is Product.VALKEY else ""))),
    )
    for product in Product
    for facet, name, commands, note in _TABLE
)


def with_joined(held: Collection[str]) -> frozenset[str]:
    """The privileges of single commands, and of each feature that needs several of them and has them all."""
    joined = {_joined(commands) for _, _, commands, _ in _TABLE if set(_needed(commands)) <= set(held)}
    return frozenset(held) | joined
