"""The rows of the support matrix that Redis and Valkey fill."""

from dbre.engines.redis.commands import named
from dbre.engines.redis.facts import LOGIN, Product
from dbre.ports.engine import Facet, Feature

__all__ = ["FEATURES"]

_UNPROVED = "Valkey is not yet proved by a test"


def _feature(facet: Facet, name: str, *commands: str, note: str = "") -> Feature:
    privileges = dict.fromkeys(named(command).privilege for command in commands)
    return Feature(
        facet=facet,
        name=name,
        versions=">=6.2",
        privilege=" ".join(privileges) or LOGIN,
        products=tuple(product.value for product in Product),
        note=f"{note}; {_UNPROVED}" if note else _UNPROVED,
    )


FEATURES: tuple[Feature, ...] = (
    _feature(Facet.SESSION, "product, version, role, start time", "info", "time", "login"),
    _feature(Facet.SESSION, "privileges of the login", note="found out by trying"),
    _feature(Facet.PROBE, "connect and role, phases timed apart", "role"),
    _feature(Facet.PROBE, "write and read back", "heartbeat_write", "heartbeat_read"),
    _feature(Facet.PROBE, "heartbeat read on a replica", "heartbeat_read"),
    _feature(Facet.ACTIVITY, "sessions counted by state", "sessions", "info", "time"),
    _feature(Facet.ACTIVITY, "sessions used last", "sessions"),
    _feature(Facet.REPLICATION, "upstream, lag in bytes", "info", "time", note="nobody measures the lag's age"),
    _feature(Facet.REPLICATION, "replicas that are fed, with lag in bytes", "info", "time"),
    _feature(Facet.SETTINGS, "parameters with value", "settings", note="no defaults, no source"),
    _feature(Facet.STATISTICS, "counters, memory, keys", "info"),
    _feature(Facet.STATISTICS, "calls and time by command", "command_statistics"),
)
