"""SET GLOBAL by dbre: checked before, seen after, put back, and said to be forgotten at the next restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mysql_kit import administrator, execute, granted

from dbre.core.errors import Denied, UsageError
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.server import MySqlServer
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.settings import Applies, SettingRefused


@asynccontextmanager
async def changing(server: MariaDbServer) -> AsyncIterator[MySqlServer]:
    access = await granted(server, "changer")
    async with administrator(server) as admin:
        await execute(admin, "GRANT SUPER ON *.* TO `changer`@`%`")
    handle = MySqlEngine().connect(access)
    try:
        yield handle
    finally:
        await handle.aclose()
        async with administrator(server) as admin:
            await execute(admin, "DROP USER `changer`@`%`")


async def global_value(server: MariaDbServer, name: str) -> str:
    async with administrator(server) as admin:
        ((_, value),) = await execute(admin, "SHOW GLOBAL VARIABLES LIKE %s", [name])
    return str(value)


@pytest.mark.parametrize(
    ("name", "value", "stands"),
    [
        ("max_connections", "123", "123"),
        ("sort_buffer_size", "4M", "4194304"),
        ("innodb_flush_log_at_trx_commit", "1", "1"),
        ("slow_query_log", "on", "ON"),
        ("long_query_time", "0.5", "0.500000"),
        ("log_output", "TABLE", "TABLE"),
        ("binlog_format", "row", "ROW"),
        ("sql_mode", "no_engine_substitution,STRICT_TRANS_TABLES", "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"),
    ],
)
async def test_a_change_is_seen_and_undone(mariadb: MariaDbServer, name: str, value: str, stands: str) -> None:
    before = await global_value(mariadb, name)
    async with changing(mariadb) as handle:
        forecast = await handle.settings.foresee(name.upper(), value)
        assert (forecast.now.name, forecast.now.value, forecast.applies) == (name, before, Applies.SESSION)
        assert (forecast.is_lasting, forecast.now.stored, forecast.stored) == (False, None, None)
        assert forecast.is_already or f"write below [mysqld] of my.cnf: {name} = " in forecast.notes[0]
        assert await global_value(mariadb, name) == before
        state = await handle.settings.change(name, value)
        assert await global_value(mariadb, name) == stands == state.value
        assert (await handle.settings.foresee(name, value)).is_already
        await handle.settings.restore(forecast.now)
    assert await global_value(mariadb, name) == before


async def test_reset_is_the_servers_default(mariadb: MariaDbServer) -> None:
    async with changing(mariadb) as handle:
        before = await handle.settings.state("sort_buffer_size")
        await handle.settings.change("sort_buffer_size", "8M")
        forecast = await handle.settings.foresee("sort_buffer_size", None)
        assert (forecast.now.value, forecast.value) == ("8388608", "2097152")
        await handle.settings.change("sort_buffer_size", None)
        assert await global_value(mariadb, "sort_buffer_size") == "2097152"
        await handle.settings.restore(before)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_connections", "lots", "is a number, and not 'lots'"),
        ("max_connections", "1", "max_connections is at least 10, and '1' is 1"),
        ("sort_buffer_size", "10Q", "is a number"),
        ("slow_query_log", "maybe", "it takes OFF, ON|it takes ON, OFF"),
        ("binlog_format", "rows", "cannot be 'rows'"),
        ("max_connectons", "100", "no parameter 'max_connectons'"),
        ("long_query_time", "-1x", "is a number"),
        ("sql_mode", "ANSI", "stands for several words"),
        ("sql_mode", "STRICT", "did you mean|it takes"),
        ("optimizer_switch", "mrr=on", "set of switches"),
    ],
)
async def test_a_wrong_value_is_told_before_anything_is_sent(
    mariadb: MariaDbServer, name: str, value: str, message: str
) -> None:
    async with changing(mariadb) as handle:
        with pytest.raises(UsageError, match=message):
            await handle.settings.foresee(name, value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("innodb_log_group_home_dir", "/tmp", "is read when the server starts"),
        ("wsrep_sst_auth", "me:hunter2", "may hold a secret"),
        ("init_connect", "DROP TABLE x", "run by every client"),
        ("general_log_file", "/tmp/x", "writes files"),
    ],
)
async def test_some_parameters_are_never_set(mariadb: MariaDbServer, name: str, value: str, reason: str) -> None:
    async with changing(mariadb) as handle:
        with pytest.raises((SettingRefused, UsageError), match=f"{reason}|no parameter") as caught:
            await handle.settings.foresee(name, value)
    assert "hunter2" not in str(caught.value.as_document())


async def test_the_watching_login_is_denied(mariadb: MariaDbServer) -> None:
    handle = MySqlEngine().connect(await granted(mariadb, "watcher"))
    try:
        with pytest.raises(Denied, match="changing parameters needs SUPER, which user 'watcher' lacks") as caught:
            await handle.settings.foresee("max_connections", "200")
    finally:
        await handle.aclose()
    assert "--grants" in str(caught.value.hint)


async def test_a_severe_value_says_what_it_may_do(mariadb: MariaDbServer) -> None:
    async with changing(mariadb) as handle:
        forecast = await handle.settings.foresee("sync_binlog", "7")
        assert forecast.danger is None
        if await global_value(mariadb, "innodb_flush_log_at_trx_commit") != "0":
            forecast = await handle.settings.foresee("innodb_flush_log_at_trx_commit", "0")
            assert "loses the last commits" in str(forecast.danger)


async def test_what_the_server_rounds_is_put_back_and_told(mariadb: MariaDbServer) -> None:
    async with changing(mariadb) as handle:
        changes = handle.settings._changes
        found = await changes._look("max_connections")
        with pytest.raises(SettingRefused, match="makes 10 of max_connections=1; it was put back"):
            await changes._set(found, "1")  # below the minimum, which ``foresee`` would have told
        assert await global_value(mariadb, "max_connections") == found["value"]
