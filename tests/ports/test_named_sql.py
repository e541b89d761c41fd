"""Files of named SQL: what is read, and what is refused with file and line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import Unsupported
from dbre.ports.engine import Facet, Parameter
from dbre.ports.named_sql import Catalog, Placeholder, SqlFileInvalid, parse_sql_file

GOOD = """\
-- What sessions do.
-- Two lines of preamble.

-- name: summary
-- facet: activity
-- versions: >=15
-- privilege: pg_monitor
SELECT 1; -- not the end
-- a comment: of the statement
SELECT 2;

-- name: sessions
-- facet: activity
-- versions: 15-16
-- privilege: CONNECT
-- parameters: longest bigint, names text[]
SELECT $1, $2, $1;
-- name: sessions
-- facet: activity
-- versions: >=17
-- privilege: CONNECT
SELECT 3
"""


def test_statements_come_with_their_headers() -> None:
    summary, old, new = parse_sql_file(GOOD, source="postgres/sql/activity.sql")
    assert (summary.name, summary.facet, summary.privilege) == ("summary", Facet.ACTIVITY, "pg_monitor")
    assert summary.text == "SELECT 1; -- not the end\n-- a comment: of the statement\nSELECT 2"
    assert summary.source == "postgres/sql/activity.sql:4"
    assert old.parameters == (Parameter(name="longest", type="bigint"), Parameter(name="names", type="text[]"))
    assert old.text == "SELECT $1, $2, $1"
    assert new.text == "SELECT 3"


def test_a_statement_is_chosen_by_version_and_product() -> None:
    catalog = Catalog(parse_sql_file(GOOD, source="activity.sql"))
    assert catalog.get("sessions", version=(16, 4)).versions == "15-16"
    assert catalog.get("sessions", version=(18, 0)).versions == ">=17"
    with pytest.raises(Unsupported, match=r"sessions needs version 15-16 or >=17, and this is postgresql 14\.2"):
        catalog.get("sessions", version=(14, 2), product="postgresql")
    with pytest.raises(LookupError, match="nothing"):
        catalog.get("nothing", version=(15,))


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("-- facet: activity\n", ""), "activity.sql:4: header lacks facet"),
        (changed("-- facet: activity", "-- facet: activities"), "activity.sql:4: unknown facet 'activities'"),
        (changed("-- facet: activity", "-- facet: probe"), "activity.sql:4: facet 'probe' stands in the file of 'activity'"),
        (changed("-- versions: >=15", "-- versions: 16-15"), "activity.sql:4: the versions '16-15' are none"),
        (changed("-- versions: >=15", "-- versions: ~15"), "activity.sql:4: '~15' is not a version"),
        (changed("-- versions: >=15", "-- version: >=15"), "activity.sql:6: unknown header line 'version'"),
        (changed("-- versions: >=15", "-- facet: activity"), "activity.sql:6: header line 'facet' is given twice"),
        (changed("-- privilege: pg_monitor", "-- privilege:"), "activity.sql:7: header line 'privilege' is empty"),
        (changed("-- name: summary", "-- name: Summary"), "activity.sql:4: name 'Summary' is not lower_snake_case"),
        (changed("-- name: summary\n", ""), "activity.sql:4: header line 'facet' before any 'name'"),
        (changed("-- Two lines of preamble.", "SELECT 0;"), "activity.sql:2: SQL before the first '-- name:'"),
        (changed("-- a comment: of the statement", "-- privilege: x"), "activity.sql:9: header line 'privilege' inside"),
        (changed("longest bigint, ", ""), "activity.sql:12: 'sessions' declares 1 parameters and uses 2"),
        (changed("longest bigint", "longest"), "activity.sql:12: parameter 'longest' is not 'name type'"),
        (changed(">=17", ">=16"), "activity.sql:18: 'sessions' for >=16 is there already: activity.sql:12"),
        (changed("SELECT 3\n", "-- nothing\n;\n"), "activity.sql:18: 'sessions' has no statement"),
    ],
)
def test_mistakes_are_told_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(SqlFileInvalid) as caught:
        parse_sql_file(text, source="activity.sql")
    assert caught.value.message.startswith(message)


def test_products_keep_statements_of_one_name_apart() -> None:
    text = "".join(
        f"-- name: limits\n-- facet: session\n-- products: {product}\n-- versions: *\n-- privilege: USAGE\nSELECT {number};\n"
        for number, product in enumerate(["mariadb", "mysql, percona"])
    )
    catalog = Catalog(parse_sql_file(text, source="session.sql"))
    assert catalog.get("limits", version=(8,), product="percona").text == "SELECT 1"
    with pytest.raises(Unsupported):
        catalog.get("limits", version=(8,), product="tidb")
    with pytest.raises(SqlFileInvalid, match="is there already"):
        parse_sql_file(text.replace("mysql, percona", "mysql, mariadb"), source="session.sql")


@pytest.mark.parametrize(
    ("style", "text", "count"),
    [
        (Placeholder.DOLLAR, "SELECT $2, $1, $1, $10", 10),
        (Placeholder.PERCENT, "SELECT %s, '100%%s', %s", 2),
        (Placeholder.QUESTION, "SELECT ?, ?", 2),
    ],
)
def test_placeholders_are_counted_as_the_driver_does(style: Placeholder, text: str, count: int) -> None:
    assert style.count_in(text) == count


@given(st.text(st.sampled_from("-: \nnamefctvrsiopld>=15SELECT$1;"), max_size=300))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    with suppress(SqlFileInvalid):  # any other exception is a bug in the parser
        for query in parse_sql_file(text, source="x.sql"):
            assert query.source.startswith("x.sql:")
