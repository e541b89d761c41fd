"""Canary chain and digests of MariaDB: what they see, and that a recovered server shows the same."""

import asyncio
import hashlib
import itertools
from datetime import timedelta

import pytest
from mariadb_kit import History, numbers, order_for, run_sql

from dbre.core.errors import DbreError, UsageError
from dbre.engines.mysql.canary import MySqlCanary
from dbre.engines.mysql.integrity import MySqlIntegrity
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.backup.model import RecoveryTarget, TargetKind
from dbre.ports.engine import Access
from dbre.ports.integrity import TableName


async def fresh(server: MariaDbServer, name: str, *statements: str) -> Access:
    access = server.access()
    await run_sql(access, f"CREATE OR REPLACE DATABASE `{name}`", f"USE `{name}`", *statements)
    return server.access(database=name)


async def test_each_row_of_the_canary_names_the_one_before(mariadb: MariaDbServer) -> None:
    canary = MySqlCanary(mariadb.access())
    await canary.prepare()
    await canary.prepare()
    written = [(await canary.write()) for _ in range(3)]
    rows = await canary.newest(3)
    assert [row for row, _ in reversed(written)] == list(rows)
    for newer, older in itertools.pairwise(rows):
        assert (newer.previous, newer.sequence) == (older.hash, older.sequence + 1)
    assert all(hashlib.sha256(row.text()).hexdigest() == row.hash for row in rows)
    positions = [position for _, position in written]
    assert all(one is not None for one in positions)
    assert positions == sorted(positions)  # type: ignore[type-var]


async def test_pruning_keeps_the_newest_row(mariadb: MariaDbServer) -> None:
    canary = MySqlCanary(mariadb.access())
    await canary.prepare()
    for _ in range(3):
        last, _ = await canary.write()
    await asyncio.sleep(1.1)
    assert await canary.prune(timedelta(seconds=1)) >= 2
    assert await canary.newest(10) == (last,)
    assert (await canary.write())[0].previous == last.hash


CHANGES = {
    "value": "UPDATE things SET amount = amount + 0.0000001 WHERE id = 1",
    "null-instead-of-empty": "UPDATE things SET name = NULL WHERE id = 1",
    "row-gone": "DELETE FROM things WHERE id = 3",
    "row-twice": "INSERT INTO things SELECT * FROM things WHERE id = 2",
    "moved-between-columns": "UPDATE things SET name = 'a', other = '' WHERE id = 1",
    "one-byte": "UPDATE things SET raw = X'00FF01' WHERE id = 2",
    "case": "UPDATE things SET name = 'TWO' WHERE id = 2",
}
TABLE = (
    "CREATE TABLE things (id int, name varchar(20), other varchar(20), amount double, raw blob, at timestamp(6) NULL)",
    (
        "INSERT INTO things VALUES (1, '', 'a', 0.1, X'00', '2026-01-01 00:00:00.000001'), "
        "(2, 'two', 'ä', 1e300, X'00FF00', NULL), (3, 'three', NULL, -0.5, NULL, NULL)"
    ),
)


@pytest.mark.parametrize("name", sorted(CHANGES))
async def test_a_digest_sees_every_change(mariadb: MariaDbServer, name: str) -> None:
    access = await fresh(mariadb, "digests", *TABLE)
    integrity = MySqlIntegrity(access)
    table = TableName("digests", "things")
    assert list(await integrity.tables()) == [table]
    before = await integrity.digest(table)
    assert before.rows == 3
    assert (await integrity.digest(table)).digest == before.digest
    await run_sql(access, "USE digests", CHANGES[name])
    after = await integrity.digest(table)
    assert after.digest != before.digest
    assert after.method == before.method


async def test_a_digest_does_not_depend_on_order_or_the_servers_time_zone(mariadb: MariaDbServer) -> None:
    access = await fresh(mariadb, "digests", *TABLE)
    integrity, table = MySqlIntegrity(access), TableName("digests", "things")
    before = await integrity.digest(table)
    await run_sql(access, "USE digests", "ALTER TABLE things ORDER BY amount", "SET GLOBAL time_zone = '+05:00'")
    try:
        assert (await integrity.digest(table)).digest == before.digest
    finally:
        await run_sql(access, "SET GLOBAL time_zone = '+00:00'")


async def test_buckets_divide_the_rows(mariadb: MariaDbServer) -> None:
    access = await fresh(
        mariadb, "buckets", "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT seq FROM seq_1_to_500"
    )
    integrity, table = MySqlIntegrity(access), TableName("buckets", "t")
    parts = [await integrity.digest(table, bucket=(number, 4)) for number in range(4)]
    assert sum(part.rows for part in parts) == 500
    assert all(part.rows > 50 for part in parts)
    with pytest.raises(UsageError, match="no bucket"):
        await integrity.digest(table, bucket=(4, 4))


async def test_hostile_names_are_names(mariadb: MariaDbServer) -> None:
    hostile = "x`; DROP DATABASE lab; --"
    access = await fresh(mariadb, "hostile", "CREATE TABLE `x``; DROP DATABASE lab; --` (`a``{b}` int)")
    integrity = MySqlIntegrity(access)
    assert (await integrity.digest(TableName("hostile", hostile))).rows == 0
    report = await integrity.check("tables")
    assert (report.looked_at, report.faults) == (1, ())
    with pytest.raises(DbreError, match="there is no table"):
        await integrity.digest(TableName("hostile", "nothing"))


async def test_checks_find_orphans_and_nothing_in_good_tables(mariadb: MariaDbServer) -> None:
    access = await fresh(
        mariadb,
        "checks",
        "CREATE TABLE parents (id int PRIMARY KEY AUTO_INCREMENT)",
        "CREATE TABLE children (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parents (id))",
        "INSERT INTO parents VALUES (1), (2)",
        "INSERT INTO children VALUES (1, 1), (2, 2), (3, NULL)",
    )
    integrity = MySqlIntegrity(access)
    assert [(await integrity.check(name)).faults for name in integrity.checks()] == [(), (), ()]
    assert ("InnoDB", "", True) in await integrity.extensions()
    await run_sql(access, "USE checks", "SET foreign_key_checks = 0", "DELETE FROM parents WHERE id = 2")
    (fault,) = (await integrity.check("constraints")).faults
    assert fault.rule == "constraint_broken"
    assert fault.detail.startswith("1 rows")
    with pytest.raises(UsageError, match="no integrity check"):
        await integrity.check("table")


async def test_a_recovered_server_has_the_digests_of_its_source(history: History) -> None:
    source = MySqlIntegrity(history.copies.server.access())
    table = TableName("lab", "ledger")
    directory = await history.copies.assemble("full", "incremental", into="data-digest")
    order = order_for(directory, RecoveryTarget(kind=TargetKind.LATEST), history.log)
    async with history.copies.backups.recover(order) as server:
        assert len(await numbers(server.access)) == 13
        found = await MySqlIntegrity(server.access).digest(table)
        assert found.digest == (await source.digest(table)).digest
        assert found.rows == 13
