"""``pg_settings`` without its secrets, and with the values that new sessions get."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.settings import shown_value
from dbre.lab.postgres import PostgresServer
from dbre.ports.settings import Applies
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import opened

SECRETS = {
    "primary_conninfo": "host=10.0.0.9 user=rep password='hunter2 hunter2' sslpassword=hunter2",
    "archive_command": "AWS_SECRET_ACCESS_KEY=hunter2 wal-g wal-push %p",
    "restore_command": "curl -u me:hunter2 https://wal/%f -o %p",
    "ssl_passphrase_command": "echo hunter2",
}


async def test_secrets_are_withheld_and_the_rest_is_shown(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as admin:
        for name, value in SECRETS.items():
            await admin.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        await admin.execute("ALTER SYSTEM SET max_connections = 50")
        await admin.execute("ALTER SYSTEM SET work_mem = '5MB'")
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
    await asyncio.sleep(0.2)
    handle = PostgresEngine().connect(fresh_postgres.access())
    every = {setting.name: setting for setting in await handle.settings.list()}
    await handle.aclose()
    assert "hunter2" not in repr(every)
    assert every["primary_conninfo"].value == "user=rep host=10.0.0.9"
    assert {every[name].value for name in SECRETS if name != "primary_conninfo"} == {None}
    assert every["password_encryption"].value == "scram-sha-256"
    assert (every["work_mem"].value, every["work_mem"].unit, every["work_mem"].default) == ("5120", "kB", "4096")
    assert every["work_mem"].source == "configuration file"
    assert every["max_connections"].is_pending_restart is True
    assert every["max_connections"].applies is Applies.RESTART
    assert every["work_mem"].is_pending_restart is False
    assert every["archive_command"].applies is Applies.RELOAD
    assert every["block_size"].applies is Applies.NEVER
    assert every["log_connections"].applies is Applies.SESSION


async def test_the_limits_of_our_own_session_are_not_the_servers(subject: Subject) -> None:
    async with await subject.server.connect() as admin:
        await admin.execute("ALTER ROLE dbre_granted SET lock_timeout = '77s'")
    try:
        async with opened(subject) as server:
            for name, value in (
                ("statement_timeout", "0"),
                ("lock_timeout", "77000"),
                ("default_transaction_read_only", "off"),
            ):
                assert (await server.settings.get(name)).value == value
            assert (await server.settings.get("statement_timeout")).source == "default"
            assert (await server.settings.get("lock_timeout")).source == "configured"
            assert (await server.settings.get("TimeZone")) == await server.settings.get("timezone")
    finally:
        async with await subject.server.connect() as admin:
            await admin.execute("ALTER ROLE dbre_granted RESET lock_timeout")


async def test_parameters_for_superusers_are_left_out_without_pg_monitor(subject: Subject) -> None:
    access = await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    async with opened(subject) as granted, opened(subject, access) as bare:
        more = {setting.name for setting in await granted.settings.list()}
        fewer = {setting.name for setting in await bare.settings.list()}
    assert "data_directory" in more - fewer
    assert fewer < more


@given(st.text())
def test_a_connection_string_never_shows_a_password(password: str) -> None:
    quoted = password.replace("\\", r"\\").replace("'", r"\'")
    marked = f"Xyzzy{quoted}Xyzzy"
    shown = shown_value("primary_conninfo", f"host=db password='{marked}' user=rep")
    assert shown is None or "Xyzzy" not in shown


@pytest.mark.parametrize(
    "broken", ["password=Xyzzy host", "=Xyzzy", "postgresql://u:Xyzzy@[h", "host='Xyzzy", "nonsense=Xyzzy"]
)
def test_a_connection_string_that_cannot_be_read_is_withheld(broken: str) -> None:
    assert shown_value("primary_conninfo", broken) is None


def test_a_connection_url_loses_its_password() -> None:
    assert "Xyzzy" not in str(shown_value("primary_conninfo", "postgresql://rep:Xyzzy@db:5433/x?sslpassword=Xyzzy"))


@pytest.mark.parametrize("name", ["extension.jwt_secret", "anon.api_key", "pgsodium.getkey_token", "x.PassWord"])
def test_parameters_of_extensions_that_sound_secret_are_withheld(name: str) -> None:
    assert shown_value(name, "Xyzzy") is None
    assert shown_value(name, "") == ""
