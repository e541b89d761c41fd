"""Facts as data: versions, privileges, metrics, grants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mysql_kit import administrator, execute, granted

from dbre.core.errors import UsageError
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.facts import (
    CREATE_HEARTBEAT,
    MONITOR,
    PROCESS,
    READ_HEARTBEAT,
    SECRET_SETTINGS,
    WRITE_HEARTBEAT,
    Product,
    identify_product,
)
from dbre.engines.mysql.metrics import VARIABLES, status_family, variable_family
from dbre.engines.mysql.privileges import held_privileges
from dbre.engines.mysql.session import is_switched_on
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.settings import Applies


@pytest.mark.parametrize(
    ("text", "product", "version"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1-log", Product.MARIADB, (10, 11, 19)),
        ("11.8.2-MariaDB-ubu2404", Product.MARIADB, (11, 8, 2)),
        ("8.0.36", Product.MYSQL, (8, 0, 36)),
        ("8.4.3-3-debug", Product.MYSQL, (8, 4, 3)),
        ("9.1.0-commercial", Product.MYSQL, (9, 1, 0)),
        ("8.0.35-27-Percona", Product.MYSQL, (8, 0, 35)),
        ("", Product.MYSQL, ()),
    ],
)
def test_products_are_told_apart_by_what_they_say(text: str, product: Product, version: tuple[int, ...]) -> None:
    assert identify_product(text) == (product, version)


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION", {PROCESS, MONITOR, READ_HEARTBEAT, WRITE_HEARTBEAT}),
        ("GRANT PROCESS, REPLICATION CLIENT ON *.* TO `a`@`%`", {PROCESS, MONITOR}),
        ("GRANT SELECT ON `dbre`.* TO `a`@`%`", {READ_HEARTBEAT}),
        ("GRANT SELECT ON `d%`.* TO `a`@`%`", {READ_HEARTBEAT}),
        ("GRANT SELECT ON `d\\_re`.* TO `a`@`%`", set()),
        ("GRANT SELECT ON `d_re`.`heartbeat` TO `a`@`%`", {READ_HEARTBEAT}),
        ("GRANT SELECT ON `dbre`.`other` TO `a`@`%`", set()),
        ("GRANT SELECT (`id`), INSERT, UPDATE ON `dbre`.`heartbeat` TO `a`@`%`", set()),
        ("GRANT SELECT, INSERT, UPDATE ON `dbre`.`heartbeat` TO `PROCESS ON *.*`@`%`", {READ_HEARTBEAT, WRITE_HEARTBEAT}),
        ("GRANT SELECT ON `x`` ON ``y`.`heartbeat` TO `a`@`%`", set()),
        ("GRANT CREATE ON `dbre`.* TO `a`@`%`", {CREATE_HEARTBEAT}),
        ("GRANT `dba`@`%` TO `a`@`%`", set()),
        ("GRANT PROXY ON ``@`%` TO `root`@`localhost`", set()),
    ],
)
def test_privileges_are_read_from_what_the_server_prints(line: str, held: set[str]) -> None:
    every = {PROCESS, MONITOR, READ_HEARTBEAT, WRITE_HEARTBEAT, CREATE_HEARTBEAT}
    found = held_privileges([line]) & every
    assert found - ({CREATE_HEARTBEAT} if "ALL" in line else set()) == held


@given(st.text(max_size=200))
def test_any_line_of_grants_can_be_read(line: str) -> None:
    assert held_privileges([line, f"GRANT SELECT ON `{line.replace('`', '``')}`.* TO `a`@`%`"])


@pytest.mark.parametrize("name", ["quote`d", "a' OR 1=1 -- ", "名前", "line\nbreak", "back\\slash", "percent%s?"])
async def test_the_grant_script_names_its_user_whatever_the_sql_mode(mariadb: MariaDbServer, name: str) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        await execute(admin, f"CREATE USER IF NOT EXISTS `{name.replace('`', '``')}`@`%`")
        for statement in MySqlEngine().grants(name).split(";\n")[:-1]:
            await execute(admin, statement)
        await execute(admin, "SET SESSION sql_mode = ''")
        rows = await execute(admin, f"SHOW GRANTS FOR `{name.replace('`', '``')}`@`%`")
    assert {PROCESS, MONITOR, WRITE_HEARTBEAT} <= held_privileges(row[0] for row in rows)


def test_the_grant_script_begins_with_the_account_that_must_be_there() -> None:
    first, second = MySqlEngine().grants("dbre@10.0.0.%").split("\n")[:2]
    assert first == "/* The account must be there: CREATE USER `dbre`@`10.0.0.%` */"
    assert second.startswith("CREATE DATABASE")


def test_the_grant_script_takes_a_host_and_refuses_impossible_names() -> None:
    assert "TO `dbre`@`10.0.0.%`" in MySqlEngine().grants("dbre@10.0.0.%")
    for name in ("", "@%", "x" * 129, "nul\0", "\ud800", "*/ DROP TABLE t; /*"):
        with pytest.raises(UsageError):
            MySqlEngine().grants(name)


@pytest.mark.parametrize(
    ("name", "value", "metric", "labels", "number"),
    [
        ("Threads_connected", "7", "mysql_global_status_threads_connected", {}, 7.0),
        ("Com_select", "12", "mysql_global_status_commands", {"command": "select"}, 12.0),
        ("Handler_read_key", "3", "mysql_global_status_handlers", {"handler": "read_key"}, 3.0),
        ("Innodb_buffer_pool_pages_free", "5", "mysql_global_status_buffer_pool_pages", {"state": "free"}, 5.0),
        ("Innodb_buffer_pool_pages_dirty", "2", "mysql_global_status_buffer_pool_dirty_pages", {}, 2.0),
        (
            "Innodb_buffer_pool_pages_flushed",
            "9",
            "mysql_global_status_buffer_pool_page_changes",
            {"operation": "flushed"},
            9.0,
        ),
        ("Innodb_rows_read", "1", "mysql_global_status_innodb_row_ops", {"operation": "read"}, 1.0),
        ("Connection_errors_internal", "0", "mysql_global_status_connection_errors", {"error": "internal"}, 0.0),
        ("Slave_running", "ON", "mysql_global_status_slave_running", {}, 1.0),
    ],
)
def test_metrics_have_the_names_of_mysqld_exporter(name: str, value: str, metric: str, labels: dict, number: float) -> None:
    family = status_family(name, value)
    assert family is not None
    (sample,) = family.samples
    assert (family.name, dict(sample.labels), sample.value) == (metric, labels, number)


@pytest.mark.parametrize(
    ("name", "value"), [("Ssl_cipher", "TLS_AES"), ("Bad name", "1"), ("Innodb_buffer_pool_pages_total", "1")]
)
def test_text_and_sums_are_no_metrics(name: str, value: str) -> None:
    assert status_family(name, value) is None
    assert variable_family("version", "10.11") is None


async def test_settings_tell_default_source_and_what_needs_a_restart(mariadb: MariaDbServer) -> None:
    server = MySqlEngine().connect(await granted(mariadb, "curious"))
    settings = {setting.name: setting for setting in await server.settings.list()}
    assert await server.settings.get("innodb-buffer-pool-size") == settings["innodb_buffer_pool_size"]
    await server.aclose()
    pool = settings["innodb_buffer_pool_size"]
    assert (pool.value, pool.default, pool.applies) == (str(32 * 2**20), str(128 * 2**20), Applies.SESSION)
    assert pool.source.startswith("config") or "command" in pool.source or pool.source == "config"
    assert settings["port"].applies is Applies.RESTART
    assert settings["version"].applies is Applies.NEVER
    assert len(VARIABLES & settings.keys()) > 30  # the exporter's subset exists
    assert all(settings[name].value is None for name in SECRET_SETTINGS & settings.keys())


@pytest.mark.parametrize(
    ("value", "is_on"), [(1, True), ("1", True), ("ON", True), ("NO_LOCK", True), (0, False), ("OFF", False), (None, False)]
)
def test_read_only_may_be_a_number_or_a_word(value: object, is_on: bool) -> None:
    assert is_switched_on(value) is is_on
