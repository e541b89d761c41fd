"""A superuser that acts as a reader: all data, and nothing else."""

from dataclasses import replace

import pytest

from dbre.core.clock import SystemClock
from dbre.core.errors import DbreError
from dbre.engines.postgres.server import PostgresServer as Reached
from dbre.lab.postgres import PostgresServer


async def test_a_reader_reads_every_table_and_no_file_and_becomes_one_again_after_every_query(
    postgres15: PostgresServer,
) -> None:
    async with await postgres15.connect() as admin:
        await admin.execute("CREATE SCHEMA IF NOT EXISTS closed")
        await admin.execute("CREATE TABLE IF NOT EXISTS closed.orders AS SELECT 7 AS n")
        await admin.execute("CREATE TABLE closed.mine AS SELECT 7 AS n")
        await admin.execute("ALTER TABLE closed.mine ENABLE ROW LEVEL SECURITY")
        await admin.execute(
            "CREATE OR REPLACE FUNCTION public.escape() RETURNS integer LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM set_config('role', 'none', false); RETURN 1; END $$"
        )
    try:
        access = replace(postgres15.access(), is_reader=True, max_connections=1)
        server = Reached(access, clock=SystemClock())
        try:
            who = "SELECT current_user::text AS who, current_setting('is_superuser') AS is_superuser"
            expected = {"who": "pg_read_all_data", "is_superuser": "off"}
            assert await server.session.read_row(who) == expected
            assert await server.session.read_row("SELECT n FROM closed.orders") == {"n": 7}
            for refused in ("SELECT pg_read_file('PG_VERSION') AS n", "SELECT pg_ls_dir('.') AS n LIMIT 1"):
                with pytest.raises(DbreError, match="permission denied"):
                    await server.session.read_row(refused)
            with pytest.raises(DbreError, match="row-level security"):  # no answer is better than one with rows hidden
                await server.session.read_row("SELECT count(*) AS n FROM closed.mine")
            assert await server.session.read_row("SELECT public.escape() AS n") == {"n": 1}
            assert await server.session.read_row(who) == expected
        finally:
            await server.aclose()
    finally:
        async with await postgres15.connect() as admin:
            await admin.execute("DROP SCHEMA closed CASCADE")
            await admin.execute("DROP FUNCTION public.escape()")
