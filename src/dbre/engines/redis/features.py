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
    (Facet.TOPOLOGY, "itself, its upstream, its followers", ("info", "time"), "slots and timelines do not exist"),
    (Facet.TOPOLOGY, "lag in seconds by heartbeat", ("heartbeat_read",), ""),
    (Facet.SETTINGS, "parameters with value", ("settings",), "no defaults, no source"),
    (Facet.STATISTICS, "counters, memory, keys", ("info",), ""),
    (Facet.WIRE, "commands seen by a proxy: delayed, failed, dropped", (), "nothing is asked of the server; not through TLS"),
    (Facet.STATISTICS, "calls and time by command", ("command_statistics",), ""),
)


def _needed(commands: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(named(command).privilege for command in commands)) or (LOGIN,)


def _joined(commands: Collection[str]) -> str:
    return " ".join(_needed(commands))


# facet, name, versions, commands, note
_OPT_IN: tuple[tuple[Facet, str, str, tuple[str, ...], str], ...] = (
    (Facet.BACKUP, "copies of the append-only file", ">=7.0", ("backup_setting",), "on the server's machine"),
    (Facet.BACKUP, "stream of the append-only file, recovery to a second in it", ">=7.0", ("backup_setting",), ""),
    (Facet.BACKUP, "snapshots over the replication protocol", ">=6.2", (), "needs +sync +psync +replconf"),
    (
        Facet.CANARY,
        "a witnessed chain of rows",
        ">=6.2",
        ("canary_write", "canary_newest", "canary_oldest", "canary_prune"),
        "",
    ),
    (
        Facet.CLIENT,
        "probe clients: ledger, set, registers",
        ">=6.2",
        ("client_push", "client_list", "client_field", "client_set_field", "client_swap", "client_remove"),
        "",
    ),
    (
        Facet.SETTINGS,
        "parameters changed at once, and kept in the server's file",
        ">=6.2",
        ("setting", "change_setting", "keep_settings"),
        "dbre settings apply",
    ),
    (
        Facet.SUCCESSION,
        "planned and forced change of primary",
        ">=6.2",
        ("succession_follow", "succession_hand_over", "succession_set", "succession_keep", "succession_cut"),
        "",
    ),
    (
        Facet.MISCHIEF,
        "writes that wait, sessions that are ended",
        ">=6.2",
        ("mischief_pause", "mischief_unpause", "mischief_kill"),
        "dbre chaos",
    ),
    (
        Facet.MISCHIEF,
        "another certificate",
        ">=7.0",
        ("mischief_setting", "mischief_certificate"),
        "dbre chaos, on the server's machine",
    ),
    (
        Facet.INTEGRITY,
        "digests of databases by SCAN and hash",
        ">=6.2",
        ("scan", "type", "ttl", "value_string", "value_list", "value_hash", "value_set", "value_zset", "value_stream"),
        "keys with a time to live are left out",
    ),
)

_GRANTED = (("backup_setting",),)  # what the grant script gives is enough; the rest is read from the server's files

_ALWAYS: tuple[Feature, ...] = tuple(
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


FEATURES: tuple[Feature, ...] = _ALWAYS + tuple(
    Feature(
        facet=facet,
        name=name,
        versions=versions,
        privilege=_joined(commands) if commands else "+sync +psync +replconf",
        products=(product.value,),
        note="; ".join(
            filter(None, ("" if commands in _GRANTED else "opt-in", note, _UNPROVED if product is Product.VALKEY else ""))
        ),
        is_opt_in=commands not in _GRANTED,
    )
    for product in Product
    for facet, name, versions, commands, note in _OPT_IN
)


def with_joined(held: Collection[str]) -> frozenset[str]:
    """The privileges of single commands, and of each feature that needs several of them and has them all."""
    joined = {_joined(commands) for _, _, commands, _ in _TABLE if set(_needed(commands)) <= set(held)}
    return frozenset(held) | joined
