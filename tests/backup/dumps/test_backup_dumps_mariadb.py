"""Dumps of MariaDB: what they hold, what they refuse to leave out, and what comes back of them."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncmy
import dumps_kit as kit
import pytest
import pytest_asyncio

from dbre.core.secrets import Secret
from dbre.engines.mysql.dumps.port import MySqlDumps
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.backup.errors import CopyFailed, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import CopyFacts, CopyKind, RecoveryTarget, TargetKind
from dbre.ports.engine import Access
from dbre.testing.fixtures import running

ODD = "--od`d na'me"


async def run_sql(access: Access, *statements: str) -> list[tuple[Any, ...]]:
    where = access.address
    target = (
        {"unix_socket": f"{where.host}/mysqld.sock"} if where.host.startswith("/") else {"host": where.host, "port": where.port}
    )
    password = access.password.reveal() if access.password else ""
    connection = await asyncmy.connect(user=access.user, password=password, autocommit=True, **target)
    try:
        rows: list[tuple[Any, ...]] = []
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
                rows = list(await cursor.fetchall()) if cursor.description else []
        return rows
    finally:
        await connection.ensure_closed()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def source(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[MariaDbServer]:
    async with running(MariaDbServer("dumped-mariadb", lab_site, program=mariadb.program)) as server:
        quoted = ODD.replace("`", "``")
        await run_sql(
            server.access(),
            "CREATE TABLE lab.ledger (id int PRIMARY KEY, bytes varbinary(100)) ENGINE = InnoDB",
            "INSERT INTO lab.ledger SELECT seq, UNHEX('00FF0A275C') FROM lab.seq_1_to_2000",
            "CREATE TABLE lab.touched (n int)",
            "CREATE TRIGGER lab.touch AFTER INSERT ON lab.ledger FOR EACH ROW INSERT INTO lab.touched VALUES (NEW.id)",
            "CREATE PROCEDURE lab.twice(IN n int) SELECT 2 * n AS twice",
            "CREATE EVENT lab.often ON SCHEDULE EVERY 1 DAY DO DELETE FROM lab.touched",
            "CREATE VIEW lab.seen AS SELECT COUNT(*) AS n FROM lab.ledger",
            f"CREATE DATABASE `{quoted}`",
            f"CREATE TABLE `{quoted}`.odd AS SELECT 42 AS answer",
            "CREATE TABLE lab.loose (id int) ENGINE = MyISAM",
            "CREATE USER app@'10.0.0.%' IDENTIFIED BY 'a password'",
            "GRANT SELECT ON lab.ledger TO app@'10.0.0.%'",
            "CREATE USER dumper@'127.0.0.1' IDENTIFIED BY 'dumper'",
        )
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dump(source: MariaDbServer, lab_site: Site) -> AsyncIterator[tuple[Path, CopyFacts]]:
    with kit.room_in(lab_site) as directory:
        target = kit.own(directory / "dump", lab_site)
        yield target, await MySqlDumps(kit.place_of(lab_site)).copy(source.access(), kit.order_of(target), kit.quiet)


@pytest.fixture
def port(lab_site: Site) -> MySqlDumps:
    return MySqlDumps(kit.place_of(lab_site))


async def test_a_dump_says_what_it_is_and_where_the_binary_log_was(port: MySqlDumps, dump: tuple[Path, CopyFacts]) -> None:
    directory, made = dump
    facts = await port.facts(directory)
    assert facts == made
    assert (facts.kind, facts.start, facts.stop) == (CopyKind.LOGICAL, None, None)
    assert facts.details["databases"] == [ODD, "lab"]
    assert facts.details["binlog"][0].startswith("binlog.")
    assert (await port.verify(directory)).is_good


async def test_tables_without_transactions_are_told(
    port: MySqlDumps, source: MariaDbServer, dump: tuple[Path, CopyFacts]
) -> None:
    (problem,) = [one for one in (await port.survey(source.access())).problems if one.rule == "backup.not_transactional"]
    assert "lab.loose (MyISAM)" in problem.message
    assert any("lab.loose (MyISAM)" in one for one in dump[1].warnings)


async def test_every_change_of_a_stored_dump_is_named(port: MySqlDumps, dump: tuple[Path, CopyFacts], room: Path) -> None:
    copy = room / "copy"
    shutil.copytree(dump[0], copy)
    data = bytearray((copy / "data.sql").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "data.sql").write_bytes(data)
    (copy / "users.sql").unlink()
    (copy / "more.sql").write_bytes(b"DROP DATABASE lab;")
    faults = {(one.rule, one.subject) for one in (await port.verify(copy)).faults}
    assert faults == {("checksum", "data.sql"), ("missing_file", "users.sql"), ("extra_file", "more.sql")}


async def test_everything_comes_back_in_a_jail(
    port: MySqlDumps, dump: tuple[Path, CopyFacts], lab_site: Site, room: Path
) -> None:
    target = kit.own(room / "data", lab_site)
    await port.assemble([dump[0]], target, kit.quiet)
    async with port.recover(kit.recover_order(target)) as server:
        access = server.access
        assert server.outcome.has_reached_target
        assert {"provision", "start", "load"} == {one.name for one in server.outcome.phases}
        assert await run_sql(access, "SELECT COUNT(*), MAX(id), HEX(MIN(bytes)) FROM lab.ledger") == [
            (2000, 2000, "00FF0A275C")
        ]
        assert await run_sql(access, "SELECT n FROM lab.seen") == [(2000,)]
        assert await run_sql(access, f"SELECT answer FROM `{ODD.replace('`', '``')}`.odd") == [(42,)]
        assert await run_sql(access, "CALL lab.twice(21)") == [(42,)]
        assert await run_sql(access, "SELECT EVENT_NAME FROM information_schema.EVENTS") == [("often",)]
        assert await run_sql(access, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'lab'") == [
            ("touch",)
        ]
        grants = {row[0] for row in await run_sql(access, "SHOW GRANTS FOR app@'10.0.0.%'")}
        assert "GRANT SELECT ON `lab`.`ledger` TO `app`@`10.0.0.%`" in grants
        assert await run_sql(access, "SELECT @@read_only, @@skip_networking, @@event_scheduler") == [(1, 1, "OFF")]
        assert not any("dbre" in row[0] for row in await run_sql(access, "SHOW DATABASES"))
        await server.promote()
        await server.stop(keep=True)
    assert (target / "ibdata1").is_file()


async def test_a_moment_that_is_not_the_dumps_is_refused(
    port: MySqlDumps, dump: tuple[Path, CopyFacts], lab_site: Site, room: Path
) -> None:
    target = kit.own(room / "data", lab_site)
    await port.assemble([dump[0]], target, kit.quiet)
    moment = RecoveryTarget(kind=TargetKind.TIME, at=dump[1].stopped_at)
    with pytest.raises(TargetNotReached, match="no log leads on"):
        async with port.recover(kit.recover_order(target, moment)):
            pass


async def test_broken_statements_are_no_server(
    port: MySqlDumps, dump: tuple[Path, CopyFacts], lab_site: Site, room: Path
) -> None:
    target = kit.own(room / "data", lab_site)
    await port.assemble([dump[0]], target, kit.quiet)
    data = target / ".dbre-dump" / "data.sql"
    data.write_bytes(data.read_bytes().replace(b"CREATE TABLE `ledger`", b"CREATE TABEL `ledger`"))
    with pytest.raises(RecoveryFailed, match=r"(?s)data\.sql of the dump cannot be loaded: .*ERROR 1064"):
        async with port.recover(kit.recover_order(target)):
            pass


async def test_what_a_login_may_not_see_is_an_error_and_never_left_out(
    port: MySqlDumps, source: MariaDbServer, lab_site: Site, room: Path
) -> None:
    access = source.access(user="dumper", password=Secret("dumper"))
    await run_sql(source.access(), "GRANT SELECT ON lab.* TO dumper@'127.0.0.1'")
    with pytest.raises(CopyFailed, match=r"lacks SELECT on \*\.\*.*lacks EVENT on"):
        await port.copy(access, kit.order_of(kit.own(room / "partly", lab_site)), kit.quiet)
    needed = "SELECT, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR, RELOAD"
    await run_sql(source.access(), f"GRANT {needed} ON *.* TO dumper@'127.0.0.1'")
    assert not [one for one in (await port.survey(access)).problems if one.is_blocking]
    facts = await port.copy(access, kit.order_of(kit.own(room / "whole", lab_site)), kit.quiet)
    assert facts.details["databases"] == [ODD, "lab"]
