"""ALTER SYSTEM by dbre: it lasts, it is seen, it is put back exactly, and a login may do no more than it was granted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from dbre.core.errors import Denied, UsageError
from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.grants import change_grants
from dbre.engines.postgres.server import PostgresServer as Handle
from dbre.lab.postgres import PostgresServer
from dbre.ports.settings import Applies, SettingNotInEffect, SettingRefused
from dbre.testing.conformance.subject import QUICK

MAY_CHANGE = (
    "work_mem",
    "maintenance_work_mem",
    "max_connections",
    "log_min_duration_statement",
    "log_connections",
    "synchronous_commit",
)


@asynccontextmanager
async def changing(server: PostgresServer, *parameters: str) -> AsyncIterator[Handle]:
    """A handle of a login with the grants for watching and for changing these parameters, and nothing else."""
    engine = PostgresEngine()
    async with await server.connect() as admin:
        found = await admin.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = 'changer'")
        if not found.rowcount:
            await admin.execute("CREATE ROLE changer LOGIN PASSWORD 's3cret-changer'")
            await admin.execute(engine.grants("changer").encode())
        for statement in change_grants("changer", parameters or MAY_CHANGE):
            await admin.execute(statement.encode())
    access = replace(server.access(user="changer", password=Secret("s3cret-changer")), timeouts=QUICK)
    handle = engine.connect(access)
    try:
        yield handle
    finally:
        await handle.aclose()
        async with await server.connect() as admin:
            await admin.execute("ALTER SYSTEM RESET ALL")
            await admin.execute("SELECT pg_catalog.pg_reload_conf()")
            await admin.execute("DROP OWNED BY changer")
            await admin.execute("DROP ROLE changer")


async def shown(server: PostgresServer, name: str) -> str:
    async with await server.connect() as admin:
        cursor = await admin.execute("SELECT pg_catalog.current_setting(%s)", [name])
        row = await cursor.fetchone()
    assert row
    return str(row[0])


def auto_file(server: PostgresServer) -> list[str]:
    lines = (server.data_directory / "postgresql.auto.conf").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


async def test_a_change_is_stored_and_seen_and_undone_to_nothing(subject: "object", server: PostgresServer) -> None:
    async with changing(server) as handle:
        forecast = await handle.settings.foresee("WORK_MEM", "65536kB")
        assert (forecast.now.name, forecast.now.value, forecast.now.stored) == ("work_mem", "4MB", None)
        assert (forecast.value, forecast.stored, forecast.applies) == ("64MB", "64MB", Applies.SESSION)
        assert (forecast.is_already, forecast.is_lasting, forecast.danger, forecast.notes) == (False, True, None, ())
        assert await shown(server, "work_mem") == "4MB"  # it only looked

        state = await handle.settings.change("work_mem", "65536 kB")
        assert (state.value, state.stored, state.is_pending_restart) == ("64MB", "64MB", False)
        assert await shown(server, "work_mem") == "64MB"
        assert auto_file(server) == ["work_mem = '64MB'"]
        assert (await handle.settings.foresee("work_mem", "64MB")).is_already

        assert await handle.settings.restore(forecast.now) == forecast.now
        assert await shown(server, "work_mem") == "4MB"
        assert auto_file(server) == []


async def test_a_value_that_was_stored_before_comes_back_as_it_was_written(server: PostgresServer) -> None:
    async with changing(server) as handle:
        async with await server.connect() as admin:
            await admin.execute("ALTER SYSTEM SET work_mem = '5120'")
            await admin.execute("SELECT pg_catalog.pg_reload_conf()")
        before = await handle.settings.state("work_mem")
        assert before.stored == "5120"
        await handle.settings.change("work_mem", None)
        assert (await shown(server, "work_mem"), auto_file(server)) == ("4MB", [])
        await handle.settings.restore(before)
        assert (await shown(server, "work_mem"), auto_file(server)) == ("5MB", ["work_mem = '5120'"])


async def test_a_parameter_for_a_restart_waits_for_it_and_can_be_taken_back(server: PostgresServer) -> None:
    async with changing(server) as handle:
        forecast = await handle.settings.foresee("max_connections", "110")
        assert (forecast.applies, forecast.replica_raises) == (Applies.RESTART, True)
        state = await handle.settings.change("max_connections", "110")
        assert (state.value, state.stored, state.is_pending_restart) == ("100", "110", True)
        assert (await handle.settings.foresee("max_connections", "110")).is_already
        back = await handle.settings.restore(forecast.now)
        assert (back.value, back.stored, back.is_pending_restart) == ("100", None, False)


async def test_a_parameter_of_a_session_s_beginning_is_seen(server: PostgresServer) -> None:
    async with changing(server) as handle:
        wanted = "all" if server.binaries.version >= 18 else "on"
        state = await handle.settings.change("log_connections", wanted)
        assert (state.value, state.stored) == (wanted, wanted)


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        ("work_mem", "64mb", "takes B, kB, MB, GB, TB, and not 'mb'", "write work_mem=64MB"),
        ("work_mem", "1kB", "work_mem is at least 64kB, and '1kB' is 1kB", "between 64kB and"),
        ("work_mem", "lots", "is a number, and not 'lots'", "without a unit it counts kB"),
        ("max_connections", "10MB", "has no unit", "write max_connections=10"),
        ("synchronous_commit", "remote", "cannot be 'remote'", "did you mean remote_"),
        ("wrk_mem", "1MB", "no parameter 'wrk_mem'", "did you mean work_mem?"),
        ("work_mem", "6\x1b4MB", "characters that cannot be seen", None),
    ],
)
async def test_a_wrong_value_is_told_before_anything_is_sent(
    server: PostgresServer, name: str, value: str, message: str, hint: str | None
) -> None:
    async with changing(server) as handle:
        with pytest.raises(UsageError) as caught:
            await handle.settings.foresee(name, value)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("archive_command", "rm -rf /", "shell line"),
        ("primary_conninfo", "password=hunter2", "may hold a password"),
        ("shared_preload_libraries", "evil", "load code"),
        ("fsync", "off", "a crash of the machine would destroy the cluster"),
        ("full_page_writes", "0", "torn pages"),
        ("listen_addresses", "", "could lose the server"),
        ("block_size", "4096", "fixed when the server"),
        ("ignore_checksum_failure", "on", "for developers"),
    ],
)
async def test_some_parameters_and_values_are_never_set(fresh_settings: Handle, name: str, value: str, reason: str) -> None:
    with pytest.raises((SettingRefused, UsageError), match=reason) as caught:
        await fresh_settings.settings.foresee(name, value)
    assert "hunter2" not in str(caught.value.as_document())


@pytest.fixture
async def fresh_settings(postgres18: PostgresServer) -> AsyncIterator[Handle]:
    """The superuser's handle, for looking only."""
    handle = PostgresEngine().connect(replace(postgres18.access(), timeouts=QUICK))
    yield handle
    await handle.aclose()


async def test_a_login_changes_what_was_granted_and_nothing_else(server: PostgresServer) -> None:
    async with changing(server, "work_mem") as handle:
        await handle.settings.change("work_mem", "8MB")
        with pytest.raises(Denied, match="needs ALTER SYSTEM ON PARAMETER maintenance_work_mem, which role 'changer' lacks"):
            await handle.settings.change("maintenance_work_mem", "8MB")
        with pytest.raises(Denied):
            await handle.settings.restore(await handle.settings.state("maintenance_work_mem"))
        async with await server.connect() as admin:
            await admin.execute("REVOKE SELECT ON pg_catalog.pg_file_settings FROM changer")
        fresh = PostgresEngine().connect(
            replace(server.access(user="changer", password=Secret("s3cret-changer")), timeouts=QUICK)
        )
        with pytest.raises(Denied, match="pg_file_settings") as caught:
            await fresh.settings.foresee("work_mem", "9MB")
        await fresh.aclose()
    assert "--grants" in str(caught.value.hint)


async def test_what_hides_the_change_and_what_else_takes_effect_is_told(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as admin:
        await admin.execute("CREATE ROLE batch LOGIN")
        await admin.execute("ALTER ROLE batch SET work_mem = '1GB'")
        await admin.execute("ALTER DATABASE postgres SET work_mem = '2GB'")
    conf = fresh_postgres.data_directory / "postgresql.conf"
    conf.write_text(conf.read_text() + "log_lock_waits = on\n")
    handle = PostgresEngine().connect(fresh_postgres.access())
    try:
        forecast = await handle.settings.foresee("work_mem", "64MB")
        notes = " | ".join(forecast.notes)
        assert "role batch has a value of its own and keeps it: work_mem=1GB" in notes
        assert "database postgres has a value of its own" in notes
        assert "the reload also makes log_lock_waits count as" in notes
        assert forecast.now.value == "4MB"  # what others get, though our own database has 2 GB
        assert (await handle.settings.change("work_mem", "64MB")).value == "64MB"

        conf.write_text(conf.read_text() + "nonsense nonsense nonsense\n")
        with pytest.raises(SettingRefused, match=r"would refuse the reload: .*postgresql.conf line \d+"):
            await handle.settings.foresee("work_mem", "65MB")
    finally:
        await handle.aclose()


async def test_a_reload_that_does_nothing_is_not_taken_for_a_change(
    fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = PostgresEngine().connect(replace(fresh_postgres.access(), timeouts=QUICK))
    changes = handle.settings._changes
    send = changes._send

    async def broken(connection: object, name: str, stored: str | None) -> None:
        conf = fresh_postgres.data_directory / "postgresql.conf"
        conf.write_text(conf.read_text() + "nonsense nonsense nonsense\n")  # between our look and the reload
        await send(connection, name, stored)  # type: ignore[arg-type]

    monkeypatch.setattr(changes, "_send", broken)
    try:
        with pytest.raises(SettingNotInEffect, match="still shows 4MB instead of 64MB"):
            await handle.settings.change("work_mem", "64MB")
    finally:
        await handle.aclose()


@pytest.mark.parametrize("name", ["work_mem", 'we"ird.na;me', "a'b"])
async def test_names_and_values_are_composed_and_never_end_the_statement(fresh_postgres: PostgresServer, name: str) -> None:
    from dbre.engines.postgres.setting_changes import _statement

    hostile = "x'; DROP ROLE changer; --\\"
    async with await fresh_postgres.connect() as admin:
        await admin.execute("CREATE ROLE changer")
        with pytest.raises(psycopg.Error):
            await admin.execute(_statement(name, hostile).text.encode())
        found = await admin.execute(sql.SQL("SELECT FROM pg_catalog.pg_roles WHERE rolname = 'changer'"))
        assert found.rowcount == 1
