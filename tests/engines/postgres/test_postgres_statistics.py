"""Which metrics each version of PostgreSQL gives, and that their numbers are the server's."""

import pytest

from dbre.core.errors import Denied
from dbre.engines.postgres.metrics import COLLECTORS
from dbre.engines.postgres.queries import catalog
from dbre.ports.statistics import MetricFamily, MetricKind
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import opened


async def all_metrics(subject: Subject) -> dict[str, MetricFamily]:
    async with opened(subject) as server:
        names = [collector.name for collector in await server.statistics.collectors()]
        return {family.name: family for name in names for family in await server.statistics.collect(name)}


async def test_names_that_dashboards_of_postgres_exporter_use(subject: Subject) -> None:
    async with subject.busy_session():
        found = await all_metrics(subject)
    assert {
        "pg_database_size_bytes",
        "pg_locks_count",
        "pg_postmaster_start_time_seconds",
        "pg_replication_is_replica",
        "pg_replication_lag_seconds",
        "pg_settings_max_connections",
        "pg_stat_activity_count",
        "pg_stat_activity_max_tx_duration",
        "pg_stat_archiver_failed_count",
        "pg_stat_bgwriter_buffers_alloc",
        "pg_stat_database_blks_hit",
        "pg_stat_database_deadlocks",
        "pg_stat_database_numbackends",
        "pg_stat_database_tup_fetched",
        "pg_stat_database_xact_commit",
        "pg_static",
    } <= set(found)
    assert found["pg_stat_database_xact_commit"].kind is MetricKind.UNKNOWN  # a counter would be renamed to ..._total
    assert found["pg_stat_bgwriter_buffers_alloc"].kind is MetricKind.COUNTER
    states = {sample.labels["state"]: sample for sample in found["pg_stat_activity_count"].samples}
    assert states["idle in transaction"].value == 1
    assert states["idle in transaction"].labels["datname"] == "postgres"


async def test_columns_that_moved_are_read_where_they_are(subject: Subject) -> None:
    found = await all_metrics(subject)
    is_new = subject.version >= (17,)
    assert ("pg_stat_bgwriter_checkpoints_timed" in found) is not is_new
    assert ("pg_stat_checkpointer_num_timed" in found) is is_new
    assert ("pg_stat_checkpointer_num_done" in found) is (subject.version >= (18,))
    assert ("pg_stat_wal_writes" in found) is (subject.version < (18,))
    assert "pg_stat_wal_bytes" in found


async def test_numbers_are_the_servers(subject: Subject) -> None:
    async with await subject.server.connect() as admin:
        cursor = await admin.execute("SELECT pg_catalog.pg_database_size('postgres'), current_setting('max_connections')::int")
        size, connections = await cursor.fetchone()
    found = await all_metrics(subject)
    sizes = {sample.labels["datname"]: sample.value for sample in found["pg_database_size_bytes"].samples}
    assert sizes["postgres"] == pytest.approx(size, rel=0.2)
    assert found["pg_settings_max_connections"].samples[0].value == connections
    assert found["pg_static"].samples[0].labels["version"].startswith(str(subject.version[0]))


async def test_settings_run_on_request_only_and_in_base_units(subject: Subject) -> None:
    async with await subject.server.connect() as admin:
        await admin.execute("ALTER ROLE dbre_granted SET work_mem = '7MB'")
    async with opened(subject) as server:
        assert "settings" not in {collector.name for collector in await server.statistics.collectors()}
        found = {family.name: family.samples[0].value for family in await server.statistics.collect("settings")}
    assert found["pg_settings_work_mem_bytes"] == 7 * 2**20
    assert found["pg_settings_checkpoint_timeout_seconds"] == 300
    assert found["pg_settings_autovacuum"] == 1
    assert found["pg_settings_autovacuum_work_mem_bytes"] == -1  # "as work_mem", and not minus a kilobyte
    assert found["pg_settings_statement_timeout_seconds"] == 0  # the server's, and not our own session's
    async with await subject.server.connect() as admin:
        await admin.execute("ALTER ROLE dbre_granted RESET ALL")


async def test_a_collector_that_needs_a_privilege_says_so(subject: Subject) -> None:
    access = await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    async with opened(subject, access) as server:
        offered = {collector.name for collector in await server.statistics.collectors()}
        assert offered & {"activity", "replication", "database_size"} == set()
        assert {"database", "wal", "locks"} <= offered
        with pytest.raises(Denied, match="statistics needs pg_monitor"):
            await server.statistics.collect("activity")


async def test_a_grant_is_noticed_without_a_new_handle(subject: Subject) -> None:
    access = await subject.new_login("dbre_late", "s3cret-late", is_granted=False)
    async with opened(subject, access) as server:
        with pytest.raises(Denied):
            await server.activity.summary()
        async with await subject.server.connect() as admin:
            await admin.execute("GRANT pg_monitor TO dbre_late")
        await server.activity.summary()
    async with await subject.server.connect() as admin:
        await admin.execute("REVOKE pg_monitor FROM dbre_late")


def test_every_statistics_statement_has_a_collector_and_reads_its_columns() -> None:
    """Nothing is read for nobody, and every metric comes from a column of some version."""
    readings = [reading for spec in COLLECTORS.values() for reading in spec.readings]
    statements = [query for query in catalog().queries if query.name.startswith("statistics_")]
    assert {query.name for query in statements} == {reading.query for reading in readings} | {"statistics_settings"}
    for reading in readings:
        texts = [query.text for query in statements if query.name == reading.query]
        for column in (*reading.labels, *(measure.column for measure in reading.measures)):
            assert any(column in text for text in texts), f"{reading.query} has no column {column}"
    names = [measure.name for reading in readings for measure in reading.measures]
    assert len(names) == len(set(names))
