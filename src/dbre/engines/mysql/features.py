"""The rows of the support matrix that MySQL and MariaDB fill.

Nothing here was ever run against MySQL itself: its statements follow its manual. The note on each row says so where it matters.
"""

from dbre.engines.mysql.facts import (
    ADMINISTER,
    CERTIFICATE,
    CONTROL_REPLICA,
    COPY,
    DUMP,
    END_SESSIONS,
    LOCK,
    LOGIN,
    MONITOR,
    PERFORMANCE_SCHEMA,
    PROCESS,
    READ_HEARTBEAT,
    READ_TABLES,
    STREAM,
    SUCCEED,
    WRITE_CANARY,
    WRITE_CLIENT,
    WRITE_HEARTBEAT,
    Product,
)
from dbre.ports.engine import Facet, Feature

__all__ = ["FEATURES"]

_UNPROVED = "not yet proved on a MySQL server"
_MARIADB, _MYSQL = (Product.MARIADB.value,), (Product.MYSQL.value,)


def _on_both(
    facet: Facet, name: str, privilege: str = LOGIN, *, mysql_privilege: str | None = None, note: str = ""
) -> tuple[Feature, ...]:
    unproved = f"{note}; {_UNPROVED}" if note else _UNPROVED
    return (
        Feature(facet=facet, name=name, versions=">=10.5", privilege=privilege, products=_MARIADB, note=note),
        Feature(
            facet=facet, name=name, versions=">=8.0.22", privilege=mysql_privilege or privilege, products=_MYSQL, note=unproved
        ),
    )


def _on_mariadb(facet: Facet, name: str, privilege: str = LOGIN, *, note: str = "") -> tuple[Feature, ...]:
    return (Feature(facet=facet, name=name, versions=">=10.5", privilege=privilege, products=_MARIADB, note=note),)


FEATURES: tuple[Feature, ...] = (
    *_on_both(Facet.SESSION, "product, version, role, start time", mysql_privilege=PERFORMANCE_SCHEMA),
    *_on_both(
        Facet.SESSION,
        "system identifier",
        mysql_privilege=PERFORMANCE_SCHEMA,
        note="Galera clusters and replication groups only",
    ),
    *_on_both(Facet.SESSION, "privileges of the login"),
    *_on_both(Facet.SESSION, "a query of the configuration, read-only"),
    *_on_both(Facet.PROBE, "connect, role and read, phases timed apart", mysql_privilege=PERFORMANCE_SCHEMA),
    *_on_both(Facet.PROBE, "write with commit and read back", WRITE_HEARTBEAT),
    *_on_both(Facet.PROBE, "heartbeat read on a replica", READ_HEARTBEAT),
    *_on_both(Facet.ACTIVITY, "sessions counted by state", PROCESS),
    *_on_both(Facet.ACTIVITY, "sessions busy longest", PROCESS),
    *_on_mariadb(Facet.ACTIVITY, "who blocks whom", PROCESS),
    *_on_both(Facet.REPLICATION, "upstream, lag in bytes and seconds", MONITOR),
    *_on_both(Facet.REPLICATION, "replicas that are fed", PROCESS, note="the primary does not know their lag"),
    *_on_both(Facet.TOPOLOGY, "itself and its upstreams, by GTID", MONITOR),
    *_on_both(Facet.TOPOLOGY, "its followers", PROCESS, note="they do not tell their port"),
    *_on_both(Facet.TOPOLOGY, "lag in seconds by heartbeat", READ_HEARTBEAT),
    *_on_both(Facet.SETTINGS, "parameters with value and source"),
    *_on_mariadb(Facet.SETTINGS, "defaults, and what needs a restart"),
    Feature(
        facet=Facet.SETTINGS,
        name="parameters changed until the next restart",
        versions=">=10.5",
        privilege=ADMINISTER,
        products=_MARIADB,
        note="opt-in; MariaDB has no SET PERSIST",
        is_opt_in=True,
    ),
    *(
        Feature(
            facet=facet,
            name=name,
            versions=">=10.6",
            privilege=privilege,
            products=_MARIADB,
            note=f"opt-in{note}",
            is_opt_in=True,
        )
        for facet, name, privilege, note in (
            (Facet.BACKUP, "copies of files, full and incremental", COPY, "; by mariadb-backup on the server's machine"),
            (Facet.BACKUP, "stream of the binary log, recovery to a place in it", STREAM, "; times in whole seconds"),
            (Facet.BACKUP, "dumps of every database as of one moment", DUMP, "; tables without transactions are told"),
            (Facet.CANARY, "a witnessed chain of rows", WRITE_CANARY, ""),
            (
                Facet.CLIENT,
                "probe clients: ledger, set, registers",
                WRITE_CLIENT,
                "; and SELECT, INSERT, DELETE ON dbre.client_ledger",
            ),
            (Facet.SUCCESSION, "planned and forced change of primary", SUCCEED, ""),
            (Facet.MISCHIEF, "locks, idle transactions, deadlocks", LOCK, "; dbre chaos"),
            (Facet.MISCHIEF, "an applier that is stopped or late", CONTROL_REPLICA, "; dbre chaos"),
            (Facet.MISCHIEF, "sessions of clients ended", END_SESSIONS, "; dbre chaos"),
            (Facet.MISCHIEF, "another certificate", CERTIFICATE, "; dbre chaos, on the server's machine"),
            (Facet.INTEGRITY, "digests of tables, CHECK TABLE, foreign keys, counters", READ_TABLES, ""),
        )
    ),
    *_on_both(
        Facet.WIRE,
        "statements seen by a proxy: delayed, failed, dropped",
        note="nothing is asked of the server; not through TLS",
    ),
    *_on_both(Facet.STATISTICS, "status counters and variables"),
    *_on_both(Facet.STATISTICS, "replication status", MONITOR),
    *_on_mariadb(Facet.STATISTICS, "size of each database", PROCESS),
)
