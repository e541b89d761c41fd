"""Which columns become which metrics, as data. Names are postgres_exporter's where it has one, so that its dashboards work.

Counters of that exporter without ``_total`` in their name are ``UNKNOWN`` here: as counters they would be renamed.
"""

from dataclasses import dataclass

from dbre.ports.statistics import MetricKind

__all__ = ["COLLECTORS", "ON_REQUEST", "CollectorSpec", "Measure", "Reading"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a statement as a metric; where a version lacks the column, the metric is absent."""

    column: str
    name: str
    kind: MetricKind
    help: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement, its label columns and what it measures."""

    query: str
    labels: tuple[str, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class CollectorSpec:
    """Statements that are read together."""

    interval_seconds: float
    readings: tuple[Reading, ...]


_GAUGE, _COUNTER, _UNKNOWN = MetricKind.GAUGE, MetricKind.COUNTER, MetricKind.UNKNOWN


def _same_names(prefix: str, kind: MetricKind, columns: dict[str, str]) -> tuple[Measure, ...]:
    return tuple(Measure(column, f"{prefix}_{column}", kind, text) for column, text in columns.items())


_SERVER = Reading(
    "statistics_server",
    (),
    (
        Measure("started_at", "pg_postmaster_start_time_seconds", _GAUGE, "Unix time at which the server started"),
        Measure("max_connections", "pg_settings_max_connections", _GAUGE, "Largest number of concurrent connections"),
    ),
)
_VERSION = Reading("statistics_server", ("version",), (Measure("one", "pg_static", _GAUGE, "Version of the server"),))

_DATABASE = Reading(
    "statistics_database",
    ("datid", "datname"),
    (
        Measure("numbackends", "pg_stat_database_numbackends", _GAUGE, "Sessions connected to the database"),
        *_same_names(
            "pg_stat_database",
            _UNKNOWN,
            {
                "xact_commit": "Transactions committed",
                "xact_rollback": "Transactions rolled back; not a sign of trouble by itself",
                "blks_read": "Blocks read from outside the buffer cache",
                "blks_hit": "Blocks found in the buffer cache",
                "tup_returned": "Live rows that scans returned",
                "tup_fetched": "Live rows that index scans fetched",
                "tup_inserted": "Rows inserted",
                "tup_updated": "Rows updated",
                "tup_deleted": "Rows deleted",
                "conflicts": "Statements cancelled on a replica because they conflicted with recovery",
                "temp_files": "Temporary files created",
                "temp_bytes": "Bytes written to temporary files",
                "deadlocks": "Deadlocks detected",
                "checksum_failures": "Blocks whose checksum did not fit; absent without data checksums",
                "blk_read_time": "Milliseconds spent reading blocks; 0 without track_io_timing",
                "blk_write_time": "Milliseconds spent writing blocks; 0 without track_io_timing",
                "stats_reset": "Unix time of the last reset of these counters",
            },
        ),
        Measure("active_time", "pg_stat_database_active_time_seconds", _COUNTER, "Seconds spent executing statements"),
        Measure("session_time", "pg_stat_database_session_time_seconds", _COUNTER, "Seconds that sessions were open"),
        Measure(
            "idle_in_transaction_time",
            "pg_stat_database_idle_in_transaction_time_seconds",
            _COUNTER,
            "Seconds spent idle inside a transaction",
        ),
        *_same_names(
            "pg_stat_database",
            _COUNTER,
            {
                "sessions": "Sessions established",
                "sessions_abandoned": "Sessions ended because the client was lost",
                "sessions_fatal": "Sessions ended by fatal errors",
                "sessions_killed": "Sessions ended by an operator",
            },
        ),
    ),
)
_SIZE = Reading(
    "statistics_database_size",
    ("datname",),
    (Measure("size_bytes", "pg_database_size_bytes", _GAUGE, "Disk space that the database uses"),),
)
_ACTIVITY = Reading(
    "statistics_activity",
    ("datname", "usename", "state", "wait_event_type"),
    (
        Measure("sessions", "pg_stat_activity_count", _GAUGE, "Client sessions in this state"),
        Measure(
            "longest_transaction", "pg_stat_activity_max_tx_duration", _GAUGE, "Seconds since the oldest open transaction began"
        ),
    ),
)
_LOCKS = Reading(
    "statistics_locks", ("datname", "mode"), (Measure("locks", "pg_locks_count", _GAUGE, "Locks held or awaited"),)
)
_REPLICATION = Reading(
    "statistics_replication",
    (),
    (
        Measure(
            "lag",
            "pg_replication_lag_seconds",
            _GAUGE,
            "Age of the newest replayed transaction; 0 on a primary and where all that was received is replayed",
        ),
        Measure("is_replica", "pg_replication_is_replica", _GAUGE, "1 on a replica, 0 on a primary"),
        Measure(
            "last_replay",
            "pg_replication_last_replay_timestamp_seconds",
            _GAUGE,
            "Unix time of the newest replayed transaction",
        ),
    ),
)
_REPLICAS = Reading(
    "statistics_replicas",
    ("application_name", "client_addr", "state", "slot_name"),
    (
        Measure("position", "pg_stat_replication_pg_current_wal_lsn_bytes", _GAUGE, "Position of the WAL on this server"),
        Measure("behind", "pg_stat_replication_pg_wal_lsn_diff", _GAUGE, "Bytes of WAL that the replica has not replayed yet"),
        Measure(
            "write_lag", "pg_stat_replication_write_lag_seconds", _GAUGE, "Time until the replica has written; absent when idle"
        ),
        Measure(
            "flush_lag", "pg_stat_replication_flush_lag_seconds", _GAUGE, "Time until the replica has flushed; absent when idle"
        ),
        Measure(
            "replay_lag",
            "pg_stat_replication_replay_lag_seconds",
            _GAUGE,
            "Time until the replica has replayed; absent when idle",
        ),
    ),
)
_SLOTS = Reading(
    "statistics_slots",
    ("slot_name", "slot_type"),
    (
        Measure("is_active", "pg_replication_slot_slot_is_active", _GAUGE, "1 while somebody reads from the slot"),
        Measure(
            "safe_wal_size",
            "pg_replication_slot_safe_wal_size_bytes",
            _GAUGE,
            "Bytes of WAL until the slot may be lost; absent without a limit",
        ),
    ),
)
_WAL = Reading(
    "statistics_wal",
    (),
    (
        Measure("wal_records", "pg_stat_wal_records", _COUNTER, "WAL records written"),
        Measure("wal_fpi", "pg_stat_wal_full_page_images", _COUNTER, "Full page images written to the WAL"),
        Measure("wal_bytes", "pg_stat_wal_bytes", _COUNTER, "Bytes of WAL generated"),
        Measure("wal_buffers_full", "pg_stat_wal_buffers_full", _COUNTER, "Writes forced because the WAL buffers were full"),
        Measure("wal_write", "pg_stat_wal_writes", _COUNTER, "Writes of WAL buffers; PostgreSQL 18 counts them in pg_stat_io"),
        Measure("wal_sync", "pg_stat_wal_syncs", _COUNTER, "Syncs of WAL files; PostgreSQL 18 counts them in pg_stat_io"),
        Measure("wal_write_time", "pg_stat_wal_write_time_milliseconds", _COUNTER, "0 without track_wal_io_timing"),
        Measure("wal_sync_time", "pg_stat_wal_sync_time_milliseconds", _COUNTER, "0 without track_wal_io_timing"),
        Measure("stats_reset", "pg_stat_wal_stats_reset", _UNKNOWN, "Unix time of the last reset of these counters"),
    ),
)
_ARCHIVER = Reading(
    "statistics_archiver",
    (),
    (
        Measure("archived_count", "pg_stat_archiver_archived_count", _UNKNOWN, "WAL files archived"),
        Measure("failed_count", "pg_stat_archiver_failed_count", _UNKNOWN, "Failed attempts to archive a WAL file"),
        Measure(
            "last_archive_age",
            "pg_stat_archiver_last_archive_age",
            _GAUGE,
            "Seconds since a WAL file was archived; absent if never",
        ),
    ),
)
_BGWRITER = Reading(
    "statistics_bgwriter",
    (),
    (
        *_same_names(
            "pg_stat_bgwriter",
            _COUNTER,
            {
                "checkpoints_timed": "Scheduled checkpoints; from PostgreSQL 17 on in pg_stat_checkpointer",
                "checkpoints_req": "Requested checkpoints; from PostgreSQL 17 on in pg_stat_checkpointer",
                "checkpoint_write_time": "Milliseconds that checkpoints spent writing",
                "checkpoint_sync_time": "Milliseconds that checkpoints spent syncing",
                "buffers_checkpoint": "Buffers that checkpoints wrote",
                "buffers_clean": "Buffers that the background writer wrote",
                "maxwritten_clean": "Times that the background writer stopped because it had written too much",
                "buffers_backend": "Buffers that sessions wrote themselves",
                "buffers_backend_fsync": "Times that a session had to sync itself",
                "buffers_alloc": "Buffers allocated",
                "stats_reset": "Unix time of the last reset of these counters",
            },
        ),
    ),
)
_CHECKPOINTER = Reading(
    "statistics_checkpointer",
    (),
    _same_names(
        "pg_stat_checkpointer",
        _COUNTER,
        {
            "num_timed": "Scheduled checkpoints",
            "num_requested": "Requested checkpoints",
            "num_done": "Checkpoints performed; PostgreSQL 18 and later",
            "restartpoints_timed": "Scheduled restartpoints",
            "restartpoints_req": "Requested restartpoints",
            "restartpoints_done": "Restartpoints performed",
            "write_time": "Milliseconds spent writing",
            "sync_time": "Milliseconds spent syncing",
            "buffers_written": "Buffers written",
            "slru_written": "SLRU buffers written; PostgreSQL 18 and later",
            "stats_reset": "Unix time of the last reset of these counters",
        },
    ),
)

COLLECTORS = {
    "server": CollectorSpec(60.0, (_SERVER, _VERSION)),
    "database": CollectorSpec(15.0, (_DATABASE,)),
    "database_size": CollectorSpec(60.0, (_SIZE,)),
    "activity": CollectorSpec(15.0, (_ACTIVITY,)),
    "locks": CollectorSpec(15.0, (_LOCKS,)),
    "replication": CollectorSpec(15.0, (_REPLICATION, _REPLICAS, _SLOTS)),
    "wal": CollectorSpec(15.0, (_WAL,)),
    "archiver": CollectorSpec(15.0, (_ARCHIVER,)),
    "bgwriter": CollectorSpec(15.0, (_BGWRITER,)),
    "checkpointer": CollectorSpec(15.0, (_CHECKPOINTER,)),
}
"""Collectors by name, in the order in which they are listed."""

ON_REQUEST = frozenset({"settings"})
"""Collectors that run when they are asked for by name, and are not listed: half of postgres_exporter's series are settings."""
