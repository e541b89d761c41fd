"""Which metric a field of INFO becomes: the names of redis_exporter, so that existing dashboards work."""

import re
from collections.abc import Iterable, Mapping

from dbre.ports.statistics import MetricFamily, MetricKind, Sample

__all__ = ["COUNTERS", "GAUGES", "command_families", "families", "info_families"]

COUNTERS: Mapping[str, str] = {
    "evicted_keys": "evicted_keys",
    "expired_keys": "expired_keys",
    "expired_time_cap_reached_count": "expired_time_cap_reached",
    "keyspace_hits": "keyspace_hits",
    "keyspace_misses": "keyspace_misses",
    "rejected_connections": "rejected_connections",
    "total_commands_processed": "commands_processed",
    "total_connections_received": "connections_received",
    "total_net_input_bytes": "net_input_bytes",
    "total_net_output_bytes": "net_output_bytes",
    "total_reads_processed": "reads_processed",
    "total_writes_processed": "writes_processed",
    "used_cpu_sys": "cpu_sys_seconds",
    "used_cpu_sys_children": "cpu_sys_children_seconds",
    "used_cpu_user": "cpu_user_seconds",
    "used_cpu_user_children": "cpu_user_children_seconds",
}
"""Field of INFO to metric, without ``redis_`` before and ``_total`` behind it."""

GAUGES: Mapping[str, str] = {
    "active_defrag_running": "active_defrag_running",
    "allocator_active": "allocator_active_bytes",
    "allocator_allocated": "allocator_allocated_bytes",
    "allocator_resident": "allocator_resident_bytes",
    "aof_current_size": "aof_current_size_bytes",
    "aof_delayed_fsync": "aof_delayed_fsync",
    "aof_enabled": "aof_enabled",
    "aof_last_bgrewrite_status": "aof_last_bgrewrite_status",
    "aof_last_write_status": "aof_last_write_status",
    "aof_rewrite_in_progress": "aof_rewrite_in_progress",
    "async_loading": "async_loading",
    "blocked_clients": "blocked_clients",
    "cluster_enabled": "cluster_enabled",
    "connected_clients": "connected_clients",
    "connected_slaves": "connected_slaves",
    "instantaneous_ops_per_sec": "instantaneous_ops_per_sec",
    "latest_fork_usec": "latest_fork_usec",
    "lazyfree_pending_objects": "lazyfree_pending_objects",
    "loading": "loading_dump_file",
    "master_repl_offset": "master_repl_offset",
    "maxclients": "max_clients",
    "maxmemory": "memory_max_bytes",
    "mem_clients_normal": "mem_clients_normal",
    "mem_clients_slaves": "mem_clients_slaves",
    "mem_fragmentation_bytes": "mem_fragmentation_bytes",
    "mem_fragmentation_ratio": "mem_fragmentation_ratio",
    "pubsub_channels": "pubsub_channels",
    "pubsub_patterns": "pubsub_patterns",
    "rdb_bgsave_in_progress": "rdb_bgsave_in_progress",
    "rdb_changes_since_last_save": "rdb_changes_since_last_save",
    "rdb_last_bgsave_status": "rdb_last_bgsave_status",
    "rdb_last_bgsave_time_sec": "rdb_last_bgsave_duration_sec",
    "rdb_last_save_time": "rdb_last_save_timestamp_seconds",
    "repl_backlog_active": "repl_backlog_is_active",
    "repl_backlog_histlen": "repl_backlog_history_bytes",
    "repl_backlog_size": "replication_backlog_bytes",
    "second_repl_offset": "second_repl_offset",
    "slave_repl_offset": "slave_repl_offset",
    "sync_full": "replica_resyncs_full",
    "sync_partial_err": "replica_partial_resync_denied",
    "sync_partial_ok": "replica_partial_resync_accepted",
    "total_system_memory": "total_system_memory_bytes",
    "tracking_clients": "tracking_clients",
    "uptime_in_seconds": "uptime_in_seconds",
    "used_memory": "memory_used_bytes",
    "used_memory_dataset": "memory_used_dataset_bytes",
    "used_memory_lua": "memory_used_lua_bytes",
    "used_memory_overhead": "memory_used_overhead_bytes",
    "used_memory_peak": "memory_used_peak_bytes",
    "used_memory_rss": "memory_used_rss_bytes",
    "used_memory_startup": "memory_used_startup_bytes",
}
"""Field of INFO to metric, without ``redis_`` before it."""

_WORDS = {"ok": 1.0, "err": 0.0, "fail": 0.0, "up": 1.0, "down": 0.0}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DATABASE, _REPLICA = re.compile(r"db\d+"), re.compile(r"slave\d+")
_DATABASE_GAUGES = (
    ("keys", "redis_db_keys", 1.0, "Keys in the database."),
    ("expires", "redis_db_keys_expiring", 1.0, "Keys in the database that will expire."),
    ("avg_ttl", "redis_db_avg_ttl_seconds", 0.001, "Mean time that keys still have to live."),
)


def _number(value: str) -> float | None:
    return float(value) if _NUMBER.fullmatch(value) else _WORDS.get(value)


def _one(name: str, kind: MetricKind, text: str, value: float, labels: Mapping[str, str] | None = None) -> MetricFamily:
    return MetricFamily(name=name, kind=kind, help=text, samples=(Sample(value, labels or {}),))


def info_families(info: Mapping[str, str]) -> list[MetricFamily]:
    """The metrics that the fields of INFO become; values that are no numbers are left out."""
    found: list[MetricFamily] = []
    for field, value in info.items():
        if _DATABASE.fullmatch(field):
            found.extend(_database(field, value))
        elif _REPLICA.fullmatch(field):
            found.extend(_replica(value))
        elif (number := _number(value)) is None:
            continue
        elif field in COUNTERS:
            found.append(_one(f"redis_{COUNTERS[field]}", MetricKind.COUNTER, f"INFO {field}.", number))
        elif field in GAUGES:
            found.append(_one(f"redis_{GAUGES[field]}", MetricKind.GAUGE, f"INFO {field}.", number))
    return [*found, *_upstream(info), _instance(info)]


def _database(field: str, value: str) -> Iterable[MetricFamily]:
    counts = dict(part.partition("=")[::2] for part in value.split(","))
    for key, name, factor, text in _DATABASE_GAUGES:
        number = _number(counts.get(key, ""))
        if number is not None:
            yield _one(name, MetricKind.GAUGE, text, number * factor, {"db": field})


def _replica(value: str) -> Iterable[MetricFamily]:
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    labels = {f"slave_{key}": fields.get(key, "") for key in ("ip", "port", "state")}
    for key, name, text in (
        ("offset", "redis_connected_slave_offset_bytes", "Offset that the replica acknowledged."),
        ("lag", "redis_connected_slave_lag_seconds", "Seconds since the replica's last acknowledgement."),
    ):
        number = _number(fields.get(key, ""))
        if number is not None:
            yield _one(name, MetricKind.GAUGE, text, number, labels)


def _upstream(info: Mapping[str, str]) -> Iterable[MetricFamily]:
    if "master_host" not in info:
        return
    labels = {"master_host": info["master_host"], "master_port": info.get("master_port", "")}
    for field, name, text in (
        ("master_link_status", "redis_master_link_up", "Whether the stream from the primary is connected."),
        ("master_last_io_seconds_ago", "redis_master_last_io_seconds_ago", "Seconds since the primary was heard."),
        ("master_sync_in_progress", "redis_master_sync_in_progress", "Whether a full copy is on its way."),
    ):
        number = _number(info.get(field, ""))
        if number is not None:
            yield _one(name, MetricKind.GAUGE, text, number, labels)


def _instance(info: Mapping[str, str]) -> MetricFamily:
    names = ("role", "redis_version", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id")
    labels = {name: info.get(name, "") for name in names} | {"process_id": info.get("process_id", "")}
    return _one("redis_instance_info", MetricKind.GAUGE, "What the server says of itself.", 1.0, labels)


def command_families(info: Mapping[str, str]) -> list[MetricFamily]:
    """Calls and time by command, from ``INFO commandstats``."""
    found: list[MetricFamily] = []
    for field, value in info.items():
        labels = {"cmd": field.removeprefix("cmdstat_")}
        counts = dict(part.partition("=")[::2] for part in value.split(","))
        for key, name, factor, text in (
            ("calls", "redis_commands", 1.0, "Calls, by command."),
            ("usec", "redis_commands_duration_seconds", 1e-6, "Time spent, by command."),
            ("rejected_calls", "redis_commands_rejected_calls", 1.0, "Calls refused before they ran, by command."),
            ("failed_calls", "redis_commands_failed_calls", 1.0, "Calls that failed, by command."),
        ):
            number = _number(counts.get(key, ""))
            if number is not None:
                found.append(_one(name, MetricKind.COUNTER, text, number * factor, labels))
    return found


def families(found: Iterable[MetricFamily]) -> tuple[MetricFamily, ...]:
    """Metrics of the same name joined into one, sorted by name."""
    joined: dict[str, MetricFamily] = {}
    for family in found:
        samples = (*joined[family.name].samples, *family.samples) if family.name in joined else family.samples
        joined[family.name] = MetricFamily(name=family.name, kind=family.kind, help=family.help, samples=samples)
    return tuple(joined[name] for name in sorted(joined))
