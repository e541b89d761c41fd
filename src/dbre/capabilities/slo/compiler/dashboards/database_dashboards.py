"""What a database does, for each engine, by the metrics of its collectors."""

from collections.abc import Mapping

from dbre.capabilities.slo.compiler.dashboards.grafana import Dashboard, Panel, Query, Row, Variable

__all__ = ["DATABASES"]

_HERE = 'cluster=~"$cluster", instance=~"$instance"'
_HITS, _MISSES = (f"sum by (instance) (rate(redis_keyspace_{one}_total@[R]))" for one in ("hits", "misses"))
_WHO = "{{instance}}"

# title, expression (@ and # are where the labels go, [R] the range of a rate), legend, unit
_Line = tuple[str, str, str, str]

_POSTGRES: tuple[tuple[str, tuple[_Line, ...]], ...] = (
    (
        "Traffic",
        (
            ("Transactions", "sum by (instance) (rate(pg_stat_database_xact_commit@[R]))", _WHO, "ops"),
            ("Rolled back", "sum by (instance) (rate(pg_stat_database_xact_rollback@[R]))", _WHO, "ops"),
            ("Sessions by state", "sum by (instance, state) (pg_stat_activity_count@)", "{{instance}} {{state}}", "short"),
            (
                "Connections of those allowed",
                "sum by (cluster, instance) (pg_stat_activity_count@) / on (cluster, instance) pg_settings_max_connections@",
                _WHO,
                "percentunit",
            ),
        ),
    ),
    (
        "Trouble",
        (
            ("Oldest transaction", "max by (instance) (pg_stat_activity_max_tx_duration@)", _WHO, "s"),
            ("Deadlocks", "sum by (instance) (rate(pg_stat_database_deadlocks@[R]))", _WHO, "ops"),
            ("Locks", "sum by (instance, mode) (pg_locks_count@)", "{{instance}} {{mode}}", "short"),
            ("Files of WAL that were not archived", "sum by (instance) (rate(pg_stat_archiver_failed_count@[R]))", _WHO, "ops"),
        ),
    ),
    (
        "Replication and space",
        (
            ("Replica behind", "max by (instance) (pg_replication_lag_seconds@)", _WHO, "s"),
            ("WAL not replayed", "max by (instance) (pg_stat_replication_pg_wal_lsn_diff@)", _WHO, "bytes"),
            ("WAL that slots may still keep", "min by (instance) (pg_replication_slot_safe_wal_size_bytes@)", _WHO, "bytes"),
            ("Size", "sum by (instance, datname) (pg_database_size_bytes@)", "{{instance}} {{datname}}", "bytes"),
        ),
    ),
)
_MYSQL: tuple[tuple[str, tuple[_Line, ...]], ...] = (
    (
        "Traffic",
        (
            ("Statements", "sum by (instance) (rate(mysql_global_status_queries@[R]))", _WHO, "ops"),
            (
                "Statements by kind",
                'sum by (command) (rate(mysql_global_status_commands_total{#, command=~"select|insert|update|delete"}[R]))',
                "{{command}}",
                "ops",
            ),
            ("Sessions", "sum by (instance) (mysql_global_status_threads_connected@)", _WHO, "short"),
            (
                "Connections of those allowed",
                "mysql_global_status_threads_connected@ / on (cluster, instance) mysql_global_variables_max_connections@",
                _WHO,
                "percentunit",
            ),
        ),
    ),
    (
        "Trouble",
        (
            ("Slow statements", "sum by (instance) (rate(mysql_global_status_slow_queries@[R]))", _WHO, "ops"),
            ("Failed connections", "sum by (instance) (rate(mysql_global_status_aborted_connects@[R]))", _WHO, "ops"),
            ("Waits for row locks", "sum by (instance) (rate(mysql_global_status_innodb_row_lock_waits@[R]))", _WHO, "ops"),
            ("Running threads", "sum by (instance) (mysql_global_status_threads_running@)", _WHO, "short"),
        ),
    ),
    (
        "Storage",
        (
            ("Dirty pages", "sum by (instance) (mysql_global_status_buffer_pool_dirty_pages@)", _WHO, "short"),
            ("Calls into storage", "sum by (handler) (rate(mysql_global_status_handlers_total@[R]))", "{{handler}}", "ops"),
            ("Size", "sum by (instance) (mysql_database_size_bytes@)", _WHO, "bytes"),
        ),
    ),
)
_REDIS: tuple[tuple[str, tuple[_Line, ...]], ...] = (
    (
        "Traffic",
        (
            ("Commands", "sum by (instance) (rate(redis_commands_processed_total@[R]))", _WHO, "ops"),
            ("Clients", "sum by (instance) (redis_connected_clients@)", _WHO, "short"),
            ("Clients of those allowed", "redis_connected_clients@ / redis_max_clients@", _WHO, "percentunit"),
            ("Keys that were there", f"{_HITS} / ({_HITS} + {_MISSES} > 0)", _WHO, "percentunit"),
        ),
    ),
    (
        "Memory",
        (
            ("Used", "sum by (instance) (redis_memory_used_bytes@)", _WHO, "bytes"),
            ("Of what it may use", "redis_memory_used_bytes@ / (redis_memory_max_bytes@ > 0)", _WHO, "percentunit"),
            ("Evicted keys", "sum by (instance) (rate(redis_evicted_keys_total@[R]))", _WHO, "ops"),
            ("Keys", "sum by (instance) (redis_db_keys@)", _WHO, "short"),
        ),
    ),
    (
        "Durability and replication",
        (
            ("Link to the primary", "min by (instance) (redis_master_link_up@)", _WHO, "short"),
            ("Replica behind", "max by (instance) (redis_connected_slave_lag_seconds@)", _WHO, "s"),
            ("Changes since the last snapshot", "sum by (instance) (redis_rdb_changes_since_last_save@)", _WHO, "short"),
            ("Rejected connections", "sum by (instance) (rate(redis_rejected_connections_total@[R]))", _WHO, "ops"),
        ),
    ),
)


def _expression(text: str) -> str:
    return text.replace("@", f"{{{_HERE}}}").replace("#", _HERE).replace("[R]", "[$__rate_interval]")


def _dashboard(engine: str, name: str, rows: tuple[tuple[str, tuple[_Line, ...]], ...]) -> Dashboard:
    up = Panel(
        title="Answers",
        queries=[Query(expression=f'dbre_up{{{_HERE}, engine="{engine}"}}', legend=_WHO)],
        width=24,
        height=5,
        minimum=0,
        maximum=1,
    )
    return Dashboard(
        id=f"database-{engine}",
        title=f"dbre: {name}",
        meaning=f"What servers of {name} do.",
        tags=("database", engine),
        variables=(
            Variable(name="cluster", label="Cluster", query=f'label_values(dbre_up{{engine="{engine}"}}, cluster)'),
            Variable(name="instance", label="Instance", query=f'label_values(dbre_up{{engine="{engine}"}}, instance)'),
        ),
        rows=(
            Row(title="Now", panels=(up,)),
            *(
                Row(
                    title=title,
                    panels=tuple(
                        Panel(title=about, queries=[Query(expression=_expression(text), legend=legend)], unit=unit, minimum=0)
                        for about, text, legend, unit in lines
                    ),
                )
                for title, lines in rows
            ),
        ),
    )


DATABASES: Mapping[str, Dashboard] = {
    "postgresql": _dashboard("postgresql", "PostgreSQL", _POSTGRES),
    "mysql": _dashboard("mysql", "MySQL and MariaDB", _MYSQL),
    "redis": _dashboard("redis", "Redis", _REDIS),
}
"""By engine."""
