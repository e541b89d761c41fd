"""Facet ``statistics`` of MySQL and MariaDB: counters and gauges for the exporter."""

from collections.abc import Sequence

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import MONITOR, PROCESS, Product
from dbre.engines.mysql.link import Conversation, Link
from dbre.engines.mysql.metrics import families, number_of, status_family, variable_family
from dbre.ports.statistics import Collector, MetricFamily, MetricKind, Sample, find_collector

__all__ = ["MySqlStatistics"]

_STATUS = Collector(name="global_status", interval_seconds=10.0)
_VARIABLES = Collector(name="global_variables", interval_seconds=60.0)
_REPLICATION = Collector(name="replication", interval_seconds=10.0)
_SIZES = Collector(name="database_sizes", interval_seconds=300.0)  # asks the file system once a table
_VERSION = Collector(name="version", interval_seconds=60.0)

_NOT_LAGS = {"master_port", "source_port", "connect_retry", "sql_delay"}


class MySqlStatistics:
    """Implements ``ports.statistics``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def collectors(self) -> Sequence[Collector]:
        """The collectors that our login may run on this product."""

        async def ask(conversation: Conversation) -> Sequence[Collector]:
            replication = (_REPLICATION,) if await conversation.may(MONITOR) else ()
            has_sizes = conversation.product is Product.MARIADB and await conversation.may(PROCESS)
            return (_STATUS, _VARIABLES, _VERSION, *replication, *((_SIZES,) if has_sizes else ()))

        return await self._link.ask(ask)

    async def collect(self, collector: str) -> Sequence[MetricFamily]:
        """Run one collector. Raises: UsageError where there is none of that name; as every facet does."""
        known = {
            _STATUS.name: _status,
            _VARIABLES.name: _variables,
            _VERSION.name: _version,
            _REPLICATION.name: _replication,
            _SIZES.name: _sizes,
        }
        return await self._link.ask(find_collector(collector, known))


async def _status(conversation: Conversation) -> Sequence[MetricFamily]:
    rows = await conversation.rows("global_status")
    return families(status_family(row["Variable_name"], row["Value"]) for row in rows)


async def _variables(conversation: Conversation) -> Sequence[MetricFamily]:
    rows = await conversation.rows("global_variables")
    return families(variable_family(row["Variable_name"], row["Value"]) for row in rows)


async def _version(conversation: Conversation) -> Sequence[MetricFamily]:
    values = {row["Variable_name"].lower(): str(row["Value"]) for row in await conversation.rows("global_variables")}
    labels = {name: values.get(name, "") for name in ("version", "version_comment", "innodb_version")}
    sample = Sample(1.0, labels)
    return (MetricFamily(name="mysql_version_info", kind=MetricKind.GAUGE, help="Version of the server.", samples=(sample,)),)


async def _sizes(conversation: Conversation) -> Sequence[MetricFamily]:
    rows = await conversation.rows("database_sizes")
    samples = tuple(Sample(float(row["size_bytes"]), {"database": row["database_name"]}) for row in rows)
    text = "Size of the InnoDB tables of a database on disk."
    return (MetricFamily(name="mysql_database_size_bytes", kind=MetricKind.GAUGE, help=text, samples=samples),)


async def _replication(conversation: Conversation) -> Sequence[MetricFamily]:
    is_mariadb = conversation.product is Product.MARIADB
    found = [_upstream(row, is_mariadb=is_mariadb) for row in await conversation.rows("upstreams")]
    return families(family for families_of_one in found for family in families_of_one)


def _upstream(row: Row, *, is_mariadb: bool) -> list[MetricFamily]:
    columns = {_in_old_words(name): value for name, value in row.items()}
    labels = {
        "master_host": str(columns.get("master_host") or ""),
        "master_uuid": "" if is_mariadb else str(columns.get("master_uuid") or ""),
        "channel_name": str(columns.get("channel_name") or ""),
        "connection_name": str(columns.get("connection_name") or ""),
    }
    metrics = []
    for name, value in columns.items():
        number = number_of(value)
        if number is None or name in _NOT_LAGS:
            continue
        metric = f"mysql_slave_status_{name}"
        metrics.append(
            MetricFamily(
                name=metric, kind=MetricKind.UNKNOWN, help="From SHOW REPLICA STATUS.", samples=(Sample(number, labels),)
            )
        )
    return metrics


def _in_old_words(name: str) -> str:
    """mysqld_exporter keeps the names that MySQL 8.0.22 replaced, and so do the dashboards."""
    return name.lower().replace("source", "master").replace("replica_", "slave_")
