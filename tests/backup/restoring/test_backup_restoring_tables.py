"""A table of then is compared with the one of now, and copied beside it; on real servers."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from dbre.core.errors import Conflict, Denied, Unsupported, UsageError
from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.table_copies import PostgresTableCopies
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.tables import RowDifference, TableEngine
from dbre.ports.engine import Access, Timeouts
from dbre.ports.integrity import TableName

ODD = 'odd "name"'
COPIES = PostgresTableCopies()
TABLE = TableName("public", ODD)


def access_to(server: PostgresServer, database: str) -> Access:
    patient = Timeouts(connect_seconds=20, statement_seconds=60, lock_seconds=10)
    return replace(server.access(database=database), timeouts=patient)


@pytest.fixture
async def then_and_now(postgres15: PostgresServer, postgres18: PostgresServer) -> tuple[Access, Access]:
    """Two databases of two versions, each with the same table of a name and values that are hard to quote."""
    return await prepared(postgres15), await prepared(postgres18)


async def prepared(server: PostgresServer) -> Access:
    admin = server.access(database="postgres")
    await run(admin, sql.SQL("DROP DATABASE IF EXISTS tables_kit WITH (FORCE)"))
    await run(admin, sql.SQL("CREATE DATABASE tables_kit"))
    access = access_to(server, "tables_kit")
    weird = sql.Identifier("we'ird\tcolumn")
    await run(access, sql.SQL("CREATE TYPE mood AS ENUM ('sad', 'fine')"))
    await run(
        access,
        sql.SQL(
            "CREATE TABLE {t} (a int, b text, at timestamptz, m mood, {weird} bytea,"
            " twice int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (b, a))"
        ).format(t=sql.Identifier(ODD), weird=weird),
    )
    await run(
        access,
        odd(
            "INSERT INTO {t} SELECT n, chr(1000 + n % 7) || E'\\t\\\\x' || n, '2026-01-01Z'::timestamptz + n * interval '1 h',"
            " 'fine', decode(md5(n::text), 'hex') FROM generate_series(1, 2000) AS n"
        ),
    )
    return access


async def run(access: Access, statement: sql.Composable) -> list[tuple[object, ...]]:
    connection = await psycopg.AsyncConnection.connect(
        host=access.address.host,
        port=access.address.port,
        user=access.user,
        password=access.password.reveal() if access.password else None,
        dbname=access.database,
        autocommit=True,
    )
    async with connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


def odd(text: str) -> sql.Composed:
    return sql.SQL(text).format(t=sql.Identifier(ODD))  # type: ignore[arg-type]


async def test_equal_tables_have_no_changes_whatever_the_versions(then_and_now: tuple[Access, Access]) -> None:
    found = await COPIES.changes(*then_and_now, TABLE, limit=10)
    assert (found.rows_then, found.rows_now) == (2_000, 2_000)
    assert (found.deleted, found.inserted, found.updated, found.shown) == (0, 0, 0, ())


async def test_rows_that_went_came_and_changed_are_told(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(now, odd("DELETE FROM {t} WHERE a % 100 = 0"))
    await run(now, odd("UPDATE {t} SET m = NULL WHERE a = 7"))
    await run(now, odd("INSERT INTO {t} (a, b) VALUES (9999, 'new'), (9998, '')"))
    found = await COPIES.changes(then, now, TABLE, limit=100)
    assert (found.deleted, found.inserted, found.updated) == (20, 2, 1)
    assert len(found.shown) == 23
    (updated,) = [one for one in found.shown if one.what is RowDifference.UPDATED]
    assert updated.key["a"] == "7"
    assert (updated.then, updated.now) == ({"m": "fine"}, {"m": None})
    assert {one.key["a"] for one in found.shown if one.what is RowDifference.INSERTED} == {"9999", "9998"}


async def test_no_more_changes_are_shown_than_asked_for_and_all_are_counted(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(now, odd("TRUNCATE {t}"))
    found = await COPIES.changes(then, now, TABLE, limit=3)
    assert (found.deleted, len(found.shown)) == (2_000, 3)


async def test_columns_that_one_side_lacks_are_told_and_left_out(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(now, odd("ALTER TABLE {t} ADD COLUMN extra int DEFAULT 1, DROP COLUMN at"))
    found = await COPIES.changes(then, now, TABLE, limit=3)
    assert (found.columns_only_then, found.columns_only_now, found.updated) == (("at",), ("extra",), 0)


async def test_a_table_without_key_cannot_be_compared(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    for one in then_and_now:
        await run(one, sql.SQL("CREATE TABLE heap (a int)"))
    with pytest.raises(Unsupported, match=r"public.heap had no primary key"):
        await COPIES.changes(then, now, TableName("public", "heap"), limit=3)


async def test_another_key_is_a_conflict(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(then, sql.SQL("CREATE TABLE k (a int PRIMARY KEY, b int)"))
    await run(now, sql.SQL("CREATE TABLE k (a int, b int PRIMARY KEY)"))
    with pytest.raises(Conflict, match=r"was \(a\) and is \(b\)"):
        await COPIES.changes(then, now, TableName("public", "k"), limit=3)


async def test_a_table_that_is_not_there_is_told(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(now, sql.SQL("CREATE TABLE later (a int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS a"))
    with pytest.raises(UsageError, match=r"there was no table public\.later in database tables_kit as of that moment"):
        await COPIES.changes(then, now, TableName("public", "later"), limit=3)
    gone = replace(then, database="made_later")
    with pytest.raises(UsageError, match=r"there was no database made_later as of that moment"):
        await COPIES.changes(gone, now, TABLE, limit=3)
    with pytest.raises(UsageError, match=r"there is no table public\.nothing in database tables_kit on .* now"):
        await COPIES.require_comparable(now, TableName("public", "nothing"))
    with pytest.raises(UsageError, match=r"public\.seen is a view"):
        await COPIES.require_comparable(now, TableName("public", "seen"))


@asynccontextmanager
async def as_stranger(admin: Access) -> AsyncIterator[Access]:
    """A login without any right."""
    await run(admin, sql.SQL('DROP ROLE IF EXISTS "str anger"; CREATE ROLE "str anger" LOGIN PASSWORD \'long enough 1\''))
    try:
        yield replace(admin, user="str anger", password=Secret("long enough 1"))
    finally:
        await run(admin, sql.SQL('DROP OWNED BY "str anger"; DROP ROLE "str anger"'))


async def test_rights_are_asked_for_before_anything_is_brought_back_and_the_hint_is_what_grants_them(
    then_and_now: tuple[Access, Access],
) -> None:
    _, now = then_and_now
    new = TableName("public", "copy of it")
    async with as_stranger(now) as login:
        for look in (lambda: COPIES.require_comparable(login, TABLE), lambda: COPIES.require_free(login, new)):
            with pytest.raises(Denied, match=r"str anger may not (read|make)") as refused:
                await look()
            hint = refused.value.hint or ""
            assert hint.startswith("an administrator can grant it: GRANT ")
            await run(now, sql.SQL(hint.partition(": ")[2]))  # type: ignore[arg-type]
            await look()
        await run(now, odd("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY"))
        with pytest.raises(Denied, match="row security hides rows"):
            await COPIES.require_comparable(login, TABLE)


async def test_a_name_that_cannot_be_made_is_refused_before_anything_is_brought_back(
    then_and_now: tuple[Access, Access],
) -> None:
    _, now = then_and_now
    with pytest.raises(Conflict, match="exists already"):
        await COPIES.require_free(now, TABLE)
    with pytest.raises(Conflict, match="exists already"):
        await COPIES.require_free(now, TableName("public", "mood"))  # a type
    with pytest.raises(UsageError, match="there is no schema nowhere"):
        await COPIES.require_free(now, TableName("nowhere", "x"))


async def test_a_comparison_that_the_server_ends_is_one_error_and_nothing_else(
    then_and_now: tuple[Access, Access], caplog: pytest.LogCaptureFixture
) -> None:
    then, now = then_and_now
    async with as_stranger(now) as login:
        await run(now, odd('GRANT SELECT (a, b) ON {t} TO "str anger"'))
        with pytest.raises(Denied):
            await COPIES.changes(then, login, TABLE, limit=3)
        gc.collect()
        await asyncio.sleep(0)
    assert [one.getMessage() for one in caplog.records] == []


async def test_what_does_not_come_along_is_named(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(then, sql.SQL("CREATE TABLE kinds (id int PRIMARY KEY)"))
    await run(
        then,
        sql.SQL(
            "CREATE TABLE full_of (id serial PRIMARY KEY, kind int REFERENCES kinds, n int DEFAULT 1 CHECK (n > 0),"
            " u text UNIQUE, g int GENERATED ALWAYS AS IDENTITY); CREATE INDEX by_kind ON full_of (kind);"
            " CREATE TABLE parts (id int PRIMARY KEY, whole int REFERENCES full_of)"
        ),
    )
    copied = await COPIES.copy(then, now, TableName("public", "full_of"), into=TableName("public", "copy"), mark="m")
    assert copied.left_out == (
        "index by_kind",
        "check full_of_n_check",
        "foreign key full_of_kind_fkey",
        "unique constraint full_of_u_key",
        "foreign key from public.parts (parts_whole_fkey)",
        "default of id",
        "default of n",
        "identity of g",
    )


async def test_a_copy_has_every_row_the_types_and_the_key_and_is_dropped_by_its_mark(
    then_and_now: tuple[Access, Access],
) -> None:
    then, now = then_and_now
    new = TableName("public", "of then; DROP TABLE x")
    await run(now, odd("DROP TABLE {t}"))
    copied = await COPIES.copy(then, now, TABLE, into=new, mark="dbre operation 1")
    assert copied.rows == 2_000
    await run(now, sql.SQL("ALTER TABLE {new} RENAME TO {t}").format(new=sql.Identifier(new.name), t=sql.Identifier(ODD)))
    found = await COPIES.changes(then, now, TABLE, limit=3)
    assert (found.rows_now, found.deleted, found.inserted, found.updated) == (2_000, 0, 0, 0)
    with pytest.raises(Conflict, match="was not made by this operation"):
        await COPIES.drop(now, TABLE, mark="dbre operation 2")
    assert await COPIES.copied(now, TABLE, mark="dbre operation 1") is not None
    assert await COPIES.drop(now, TABLE, mark="dbre operation 1")
    assert await COPIES.copied(now, TABLE, mark="dbre operation 1") is None
    assert not await COPIES.drop(now, TABLE, mark="dbre operation 1")


async def test_a_name_that_is_taken_is_a_conflict_and_nothing_is_changed(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    with pytest.raises(Conflict, match="exists already"):
        await COPIES.copy(then, now, TABLE, into=TABLE, mark="m")


async def test_a_copy_that_fails_leaves_nothing(then_and_now: tuple[Access, Access]) -> None:
    then, now = then_and_now
    await run(then, sql.SQL("CREATE TYPE only_then AS ENUM ('x')"))
    await run(then, sql.SQL("CREATE TABLE odd_type (a int PRIMARY KEY, b only_then)"))
    with pytest.raises(Unsupported, match=r"column b was of type public\.only_then, and there is no such type in database"):
        await COPIES.copy(then, now, TableName("public", "odd_type"), into=TableName("public", "copy"), mark="m")
    assert await COPIES.copied(now, TableName("public", "copy"), mark="m") is None


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("Orders", "public", "orders"),
        ("sales.Orders", "sales", "orders"),
        ('"Sales"."Or""ders. x"', "Sales", 'Or"ders. x'),
        ("größe", "public", "größe"),
    ],
)
def test_names_are_read_by_the_rules_of_the_server(text: str, schema: str, name: str) -> None:
    assert COPIES.parse_name(text) == TableName(schema, name)


@pytest.mark.parametrize("text", ["", "a.b.c", "n" * 64, "a b", '"open', "x;DROP TABLE y", '""', "1a"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a table"):
        COPIES.parse_name(text)


def test_postgresql_is_such_an_engine() -> None:
    assert isinstance(PostgresEngine(), TableEngine)
