"""The rows of the support matrix that PostgreSQL fills."""

from dbre.engines.postgres.facts import (
    CHECK_INDEXES,
    CONNECT,
    MONITOR,
    PROMOTE,
    READ_ALL,
    READ_FILES,
    READ_HEARTBEAT,
    READ_TABLES,
    REDIRECT,
    RELOAD,
    REPLICATE,
    WRITE_CANARY,
    WRITE_CLIENT,
    WRITE_HEARTBEAT,
)
from dbre.engines.postgres.mischief.deeds import DEEDS
from dbre.ports.engine import Facet, Feature

__all__ = ["FEATURES"]


_DUMPS = "opt-in; with BYPASSRLS where row security is on"
_OPT_IN = "opt-in, with ALTER SYSTEM ON PARAMETER for each one"


def _feature(
    facet: Facet, name: str, privilege: str = CONNECT, *, versions: str = ">=15", note: str = "", is_opt_in: bool = False
) -> Feature:
    return Feature(
        facet=facet,
        name=name,
        versions=versions,
        privilege=privilege,
        products=("postgresql",),
        note=note,
        is_opt_in=is_opt_in,
    )


FEATURES = (
    _feature(Facet.SESSION, "product, version, role, start time"),
    _feature(Facet.SESSION, "system identifier and timeline", note="unknown where EXECUTE on pg_control_system was revoked"),
    _feature(Facet.SESSION, "privileges of the login"),
    _feature(Facet.SESSION, "a query of the configuration, read-only"),
    _feature(Facet.PROBE, "connect, role and read, phases timed apart"),
    _feature(Facet.PROBE, "write with commit and read back", WRITE_HEARTBEAT),
    _feature(Facet.PROBE, "heartbeat read on a replica", READ_HEARTBEAT),
    _feature(Facet.ACTIVITY, "sessions by state, blocked sessions", MONITOR),
    _feature(Facet.ACTIVITY, "longest sessions and who blocks them", MONITOR),
    _feature(Facet.REPLICATION, "replicas with lag in bytes and seconds", MONITOR),
    _feature(
        Facet.REPLICATION, "a replica's own lag and upstream", MONITOR, note="seconds are unknown while the primary is idle"
    ),
    _feature(Facet.TOPOLOGY, "itself, its upstream, its followers, stage by stage", MONITOR),
    _feature(Facet.TOPOLOGY, "slots, and what they keep", MONITOR, note="inactive since when: from version 17 on"),
    _feature(Facet.TOPOLOGY, "publications and subscriptions in use", MONITOR),
    _feature(Facet.TOPOLOGY, "lag in seconds by heartbeat", READ_HEARTBEAT),
    _feature(Facet.SETTINGS, "parameters, defaults, pending restarts"),
    _feature(Facet.SETTINGS, "parameters reserved for superusers", MONITOR, note="left out of the list without it"),
    _feature(Facet.SETTINGS, "what the server's files say", READ_FILES, note="opt-in", is_opt_in=True),
    _feature(Facet.SETTINGS, "parameters changed so that they last", RELOAD, note=_OPT_IN, is_opt_in=True),
    _feature(Facet.STATISTICS, "databases, locks, slots, WAL, archiver, background writer"),
    _feature(Facet.STATISTICS, "sessions, replication, database sizes", MONITOR),
    _feature(Facet.BACKUP, "full copies of the files, of a primary or a replica", REPLICATE, note="opt-in", is_opt_in=True),
    _feature(Facet.BACKUP, "incremental copies", REPLICATE, versions=">=17", note="opt-in; summarize_wal = on", is_opt_in=True),
    _feature(Facet.BACKUP, "the log received as it is written, commits confirmed", REPLICATE, note="opt-in", is_opt_in=True),
    _feature(Facet.BACKUP, "dumps of every database, loaded into a new server", READ_ALL, note=_DUMPS, is_opt_in=True),
    _feature(Facet.BACKUP, "what stands in the way of a copy", note="sizes of all databases need pg_monitor"),
    _feature(Facet.BACKUP, "recovery to a time, position, transaction, name", note="of a copy, in a server without network"),
    _feature(Facet.CANARY, "a witnessed chain of rows", WRITE_CANARY, note="opt-in", is_opt_in=True),
    _feature(
        Facet.CLIENT,
        "probe clients: ledger, set, registers, lists, bank",
        WRITE_CLIENT,
        note="opt-in; the same ON dbre.client_ledger, dbre.client_list, dbre.client_account",
        is_opt_in=True,
    ),
    _feature(
        Facet.FORK,
        "rows that a fenced primary committed on a timeline that was left",
        REPLICATE,
        note="opt-in; reads a copy of its files",
        is_opt_in=True,
    ),
    _feature(Facet.INTEGRITY, "digests of tables, pages, foreign keys, sequences", READ_TABLES, note="opt-in", is_opt_in=True),
    _feature(Facet.INTEGRITY, "invalid indexes, collations, extensions"),
    _feature(Facet.INTEGRITY, "indexes and rows by amcheck", CHECK_INDEXES, note="opt-in", is_opt_in=True),
    *(
        _feature(
            Facet.MISCHIEF,
            deed.value.replace("-", " "),
            privilege,
            note="dbre chaos" if privilege == CONNECT else "opt-in; dbre chaos",
            is_opt_in=privilege != CONNECT,
        )
        for deed, privilege in DEEDS.items()
    ),
    _feature(
        Facet.WIRE, "queries seen by a proxy: delayed, failed, dropped", note="nothing is asked of the server; not through TLS"
    ),
    _feature(
        Facet.SUCCESSION,
        "planned and forced change of primary",
        PROMOTE,
        note="opt-in; with pg_checkpoint, REPLICATION and control of the process",
        is_opt_in=True,
    ),
    _feature(Facet.SUCCESSION, "replicas follow a new primary without a restart", REDIRECT, note="opt-in", is_opt_in=True),
    _feature(
        Facet.SUCCESSION,
        "a former primary follows again: as it is, rewound, or copied anew",
        REPLICATE,
        note="opt-in; with control of the process; rewinding needs pg_read_binary_file and others",
        is_opt_in=True,
    ),
    _feature(Facet.STATISTICS, "checkpointer", versions=">=17", note="earlier versions count checkpoints in pg_stat_bgwriter"),
)
