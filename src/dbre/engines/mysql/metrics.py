"""Which metric a status value or variable becomes: the names of mysqld_exporter, so that existing dashboards work.

mysqld_exporter exports most values as "untyped" under the bare name. A counter would get ``_total`` appended by OpenMetrics and
leave the dashboards empty, so what has no ``_total`` in its name there is of an unknown kind here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dbre.ports.statistics import MetricFamily, MetricKind, Sample

__all__ = ["VARIABLES", "families", "number_of", "status_family", "variable_family"]


@dataclass(frozen=True, slots=True)
class _Group:
    """Status values that differ in their last words only become one metric with a label."""

    prefix: str
    metric: str
    label: str
    kind: MetricKind
    help: str


_COUNTER, _GAUGE, _UNKNOWN = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.UNKNOWN
_GROUPS = (
    _Group("com_", "mysql_global_status_commands", "command", _COUNTER, "Statements executed, by kind."),
    _Group("handler_", "mysql_global_status_handlers", "handler", _COUNTER, "Calls into storage engines, by kind."),
    _Group(
        "connection_errors_", "mysql_global_status_connection_errors", "error", _COUNTER, "Connections that failed, by reason."
    ),
    _Group("innodb_rows_", "mysql_global_status_innodb_row_ops", "operation", _COUNTER, "Rows handled by InnoDB."),
    _Group(
        "performance_schema_",
        "mysql_global_status_performance_schema_lost",
        "instrumentation",
        _COUNTER,
        "Instrumentation that could not be loaded or created.",
    ),
)
_BUFFER_POOL_STATES = {"data", "free", "misc", "old"}
_BUFFER_POOL = "innodb_buffer_pool_pages_"

VARIABLES = frozenset(
    {
        "binlog_cache_size", "connect_timeout", "expire_logs_days", "gtid_strict_mode", "innodb_adaptive_hash_index",
        "innodb_buffer_pool_size", "innodb_flush_log_at_trx_commit", "innodb_io_capacity", "innodb_io_capacity_max",
        "innodb_lock_wait_timeout", "innodb_log_buffer_size", "innodb_log_file_size", "innodb_max_dirty_pages_pct",
        "innodb_redo_log_capacity", "innodb_thread_concurrency", "interactive_timeout", "join_buffer_size", "key_buffer_size",
        "lock_wait_timeout", "log_bin", "log_slave_updates", "log_replica_updates", "long_query_time", "max_allowed_packet",
        "max_connect_errors", "max_connections", "max_heap_table_size", "max_user_connections", "open_files_limit",
        "performance_schema", "port", "query_cache_size", "read_buffer_size", "read_only", "read_rnd_buffer_size", "server_id",
        "slow_query_log", "sort_buffer_size", "super_read_only", "sync_binlog", "table_definition_cache", "table_open_cache",
        "thread_cache_size", "thread_pool_size", "thread_stack", "tmp_table_size", "wait_timeout",
    }
)  # fmt: skip
"""Variables that dashboards and alerts read; all others are in ``dbre engine settings``."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORDS = {
    "on": 1.0,
    "yes": 1.0,
    "connecting": 0.0,
    "primary": 1.0,
    "off": 0.0,
    "no": 0.0,
    "non-primary": 0.0,
    "disconnected": 0.0,
}


def number_of(value: object) -> float | None:
    """A value as a number, ON and OFF as 1 and 0; None where it is neither: text never becomes a metric.

    >>> number_of("ON"), number_of("12.5"), number_of("file.000001")
    (1.0, 12.5, None)
    """
    text = str(value).strip().lower()
    if _NUMBER.fullmatch(text):
        return float(text)
    return _WORDS.get(text)


def status_family(name: str, value: object) -> MetricFamily | None:
    """The metric of one row of SHOW GLOBAL STATUS, or None where it is no number."""
    number, word = number_of(value), name.lower()
    if number is None or not re.fullmatch(r"[a-z_][a-z0-9_]*", word):
        return None
    if word.startswith(_BUFFER_POOL):
        return _buffer_pool(word.removeprefix(_BUFFER_POOL), number)
    for group in _GROUPS:
        if word.startswith(group.prefix):
            labels = {group.label: word.removeprefix(group.prefix)}
            return MetricFamily(name=group.metric, kind=group.kind, help=group.help, samples=(Sample(number, labels),))
    return _plain(f"mysql_global_status_{word}", "From SHOW GLOBAL STATUS.", number, _UNKNOWN)


def _buffer_pool(state: str, number: float) -> MetricFamily | None:
    if state == "total":
        return None  # the sum of the others
    if state == "dirty":
        return _plain("mysql_global_status_buffer_pool_dirty_pages", "Dirty pages of the InnoDB buffer pool.", number)
    if state in _BUFFER_POOL_STATES:
        name, kind, label, text = "buffer_pool_pages", _GAUGE, "state", "Pages of the InnoDB buffer pool, by state."
    else:
        name, kind, label, text = "buffer_pool_page_changes", _COUNTER, "operation", "Changes of InnoDB buffer pool pages."
    sample = Sample(number, {label: state})
    return MetricFamily(name=f"mysql_global_status_{name}", kind=kind, help=text, samples=(sample,))


def variable_family(name: str, value: object) -> MetricFamily | None:
    """The metric of one server variable, or None where it is not among ``VARIABLES`` or no number."""
    number, word = number_of(value), name.lower()
    if number is None or word not in VARIABLES:
        return None
    return _plain(f"mysql_global_variables_{word}", "From SHOW GLOBAL VARIABLES.", number)


def _plain(name: str, text: str, number: float, kind: MetricKind = _GAUGE) -> MetricFamily:
    return MetricFamily(name=name, kind=kind, help=text, samples=(Sample(number),))


def families(found: Iterable[MetricFamily | None]) -> tuple[MetricFamily, ...]:
    """Metrics of the same name joined into one, sorted by name."""
    joined: dict[str, MetricFamily] = {}
    for family in found:
        if family is None:
            continue
        samples = (*joined[family.name].samples, *family.samples) if family.name in joined else family.samples
        joined[family.name] = MetricFamily(name=family.name, kind=family.kind, help=family.help, samples=samples)
    return tuple(joined[name] for name in sorted(joined))
