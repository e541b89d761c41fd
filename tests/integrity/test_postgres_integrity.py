"""Digests and checks on real PostgreSQL: what differs is seen, and what is damaged is named."""

import pytest
from integrity_kit import Place

from dbre.core.errors import UsageError
from dbre.ports.integrity import IntegrityReport, TableDigest, TableName

T = TableName("public", "t")
HOSTILE = 'x"; DROP TABLE t; --\u202e'


async def digest(place: Place, table: TableName = T, bucket: tuple[int, int] | None = None) -> TableDigest:
    return await place.server.integrity.digest(table, bucket=bucket)


async def check(place: Place, name: str) -> IntegrityReport:
    return await place.server.integrity.check(name)


async def test_the_order_of_rows_does_not_matter_and_every_change_does(place: Place) -> None:
    await place.sql.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b float8)")
    await place.sql.execute("INSERT INTO t SELECT i, 'row ' || i, i / 7.0 FROM generate_series(1, 500) AS i")
    first = await digest(place)
    await place.sql.execute("CREATE TABLE u AS SELECT * FROM t ORDER BY id DESC")
    assert first.rows == 500
    assert (await digest(place, TableName("public", "u"))).digest == first.digest
    for statement in (
        "UPDATE t SET a = 'row 8' WHERE id = 7",
        "UPDATE t SET b = b + 1e-12 WHERE id = 9",
        "DELETE FROM t WHERE id = 500",
        "INSERT INTO t VALUES (501, NULL, NULL)",
    ):
        before = await digest(place)
        await place.sql.execute(statement)
        assert (await digest(place)).digest != before.digest, statement


async def test_a_row_that_is_there_twice_is_seen(place: Place) -> None:
    await place.sql.execute("CREATE TABLE t (a int)")
    await place.sql.execute("INSERT INTO t VALUES (1), (2), (2)")
    before = await digest(place)
    await place.sql.execute("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 2)")
    await place.sql.execute("INSERT INTO t VALUES (1)")
    after = await digest(place)
    assert (before.rows, after.rows) == (3, 3)
    assert before.digest != after.digest


async def test_types_without_hash_and_names_of_any_kind_are_digested(place: Place) -> None:
    await place.sql.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    await place.sql.execute("CREATE TABLE t (id int, j json, x polygon, p point, m mood, a int[], v varchar(9), r int4range)")
    await place.sql.execute("""INSERT INTO t VALUES (1, '{"a":1}', '((0,0),(1,1))', '(1,2)', 'ok', '{1,2}', 'v', '[1,3)')""")
    before = await digest(place)
    for column, value in (("j", '{"a": 1}'), ("p", "(1,3)"), ("m", "sad"), ("a", "{2,1}"), ("v", "w"), ("r", "[1,4)")):
        await place.sql.execute(f"UPDATE t SET {column} = '{value}'")
        after = await digest(place)
        assert after.digest != before.digest, column
        before = after
    quoted = HOSTILE.replace('"', '""')
    await place.sql.execute(f'CREATE TABLE "{quoted}" ("{quoted}" int PRIMARY KEY)')
    await place.sql.execute(f'INSERT INTO "{quoted}" VALUES (1), (2)')
    assert (await digest(place, TableName("public", HOSTILE))).rows == 2
    assert TableName("public", HOSTILE) in await place.server.integrity.tables()


async def test_buckets_are_disjoint_and_cover_the_table(place: Place) -> None:
    await place.sql.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    await place.sql.execute("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 300) AS i")
    parts = [await digest(place, bucket=(k, 4)) for k in range(4)]
    assert sum(one.rows for one in parts) == 300
    assert all(one.rows > 0 for one in parts)
    await place.sql.execute("UPDATE t SET a = 'y' WHERE id = 42")
    changed = [await digest(place, bucket=(k, 4)) for k in range(4)]
    assert sum(old.digest != new.digest for old, new in zip(parts, changed, strict=True)) == 1
    with pytest.raises(UsageError, match="no bucket 4 of 4"):
        await digest(place, bucket=(4, 4))


async def test_an_index_build_that_failed_is_named(place: Place) -> None:
    await place.sql.execute("CREATE TABLE t (a int)")
    await place.sql.execute("INSERT INTO t VALUES (1), (1)")
    assert (await check(place, "invalid_indexes")).faults == ()
    with pytest.raises(Exception, match="could not create unique index"):
        await place.sql.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)")
    found = await check(place, "invalid_indexes")
    assert [(one.rule, one.subject) for one in found.faults] == [("index_invalid", "public.t_a")]


async def test_rows_that_name_nothing_and_sequences_that_lag_are_named(place: Place) -> None:
    await place.sql.execute("CREATE TABLE f (a int, b int, PRIMARY KEY (a, b))")
    key = "CONSTRAINT t_f FOREIGN KEY (a, b) REFERENCES f (a, b)"
    await place.sql.execute(f"CREATE TABLE t (id serial PRIMARY KEY, a int, b int, {key})")
    await place.sql.execute("INSERT INTO f VALUES (1, 2)")
    await place.sql.execute("INSERT INTO t (a, b) VALUES (1, 2), (1, NULL)")
    assert (await check(place, "constraints")).faults == ()
    assert (await check(place, "sequences")).faults == ()
    await place.sql.execute("SET session_replication_role = replica")  # as a restore that lost a table would leave it
    await place.sql.execute("DELETE FROM f")
    await place.sql.execute("INSERT INTO t (id, a, b) VALUES (900, 1, 3)")
    broken = await check(place, "constraints")
    assert [(one.subject, one.detail.split()[0]) for one in broken.faults] == [("public.t.t_f", "2")]
    behind = await check(place, "sequences")
    assert [(one.subject, one.detail) for one in behind.faults] == [("public.t_id_seq", "stands at 2, and t.id has 900")]


async def test_every_check_says_what_it_looked_at_or_why_it_could_not(place: Place) -> None:
    for name in place.server.integrity.checks():
        found = await check(place, name)
        assert found.check == name
        assert found.looked_at > 0 or found.missing or name in ("constraints", "sequences", "collations")
    with pytest.raises(UsageError, match=r"no integrity check"):
        await check(place, "everything")
    assert ("plpgsql", "1.0", True) in await place.server.integrity.extensions()


async def test_amcheck_names_the_index_that_misses_a_row(place15: Place) -> None:
    await place15.sql.execute("CREATE EXTENSION amcheck")
    await place15.sql.execute("CREATE TABLE t (a int)")
    await place15.sql.execute("INSERT INTO t SELECT generate_series(1, 1000)")
    await place15.sql.execute("CREATE INDEX t_a ON t (a)")
    assert (await check(place15, "indexes")).faults == ()
    assert (await check(place15, "heaps")).faults == ()
    # As a crash of broken storage would leave it: a row that the index never heard of.
    await place15.sql.execute("UPDATE pg_index SET indisready = false WHERE indexrelid = 't_a'::regclass")
    await place15.sql.execute("INSERT INTO t VALUES (5000)")
    await place15.sql.execute("UPDATE pg_index SET indisready = true WHERE indexrelid = 't_a'::regclass")
    found = await check(place15, "indexes")
    assert [(one.rule, one.subject) for one in found.faults] == [("index_damaged", "public.t_a")]
