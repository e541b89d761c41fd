"""Every statement in ``sql/`` is known to every tested server, and needs the privilege that its header names."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from dbre.core.errors import Denied
from dbre.engines.postgres.facts import CONNECT, MONITOR, READ_CONTROL
from dbre.engines.postgres.queries import catalog, named
from dbre.ports.engine import NamedQuery
from dbre.ports.versions import VersionRange
from dbre.testing.conformance import Subject

CLIENT_TABLES = tuple(
    f"client_{what}" for what in ("ledger_table", "ledger_index", "register_table", "list_table", "account_table")
)
OPT_IN_TABLES = ("canary_schema", "canary_table", "client_schema", *CLIENT_TABLES)
LEVELS = ("serializable", "repeatable_read", "read_committed")
CLIENTS = ("client_commit", "client_rollback", *(f"client_begin_{level}" for level in LEVELS))
DUMPS = ("dump_close", "dump_open")
MISCHIEF = ("mischief_begin", "mischief_rollback")
UTILITY = {
    "begin",
    "commit",
    "heartbeat_schema",
    "heartbeat_table",
    *OPT_IN_TABLES,
    *DUMPS,
    *MISCHIEF,
    *CLIENTS,
}  # PREPARE does not take them
SAMPLES = {"text": "x", "interval": timedelta(hours=1)}  # by the type of a parameter; others are numbers


@pytest.fixture(autouse=True)
async def opt_in_tables(subject: Subject) -> None:
    """What only statements of opt-in features read and write."""
    async with await subject.server.connect() as admin:
        for name in OPT_IN_TABLES:
            await admin.execute(named(name).text.encode())
        login = sql.Identifier(subject.access.user or "")
        await admin.execute(sql.SQL("GRANT SELECT, INSERT, DELETE ON dbre.canary TO {}").format(login))


def queries_for(subject: Subject) -> list[NamedQuery]:
    return [query for query in catalog().queries if subject.version in VersionRange.parse(query.versions)]


async def connected(subject: Subject, user: str | None = None, password: str = "") -> psycopg.AsyncConnection:
    access = subject.access
    return await psycopg.AsyncConnection.connect(
        host=access.address.host,
        port=access.address.port,
        user=user or access.user,
        password=password or access.password.reveal(),
        dbname="postgres",
        autocommit=True,
        options="-c search_path=",
    )


async def test_every_statement_is_prepared_and_described_under_the_granted_role(subject: Subject) -> None:
    async with await connected(subject) as connection:
        for query in queries_for(subject):
            if query.name in UTILITY:
                continue
            await connection.execute(b"PREPARE described AS " + query.text.encode())
            described = connection.pgconn.describe_prepared(b"described")
            assert described.status == psycopg.pq.ExecStatus.COMMAND_OK, (query.source, described.error_message)
            names = [described.fname(column).decode() for column in range(described.nfields)]
            assert len(names) == len(set(names)), query.source
            assert "?column?" not in names, query.source
            types = [described.param_type(number) for number in range(described.nparams)]
            wanted = [connection.adapters.types[parameter.type].oid for parameter in query.parameters]
            assert types == wanted, query.source
            await connection.execute("DEALLOCATE described")


async def test_statements_name_the_schema_of_what_they_read(subject: Subject) -> None:
    """With an empty search_path only pg_catalog is found without its name; a temporary table must not stand in for it."""
    async with await connected(subject) as connection:
        await connection.execute("SET search_path = pg_temp, pg_catalog")
        for relation in ("pg_stat_activity", "pg_stat_database", "pg_settings", "pg_class", "pg_stat_replication"):
            await connection.execute(f"CREATE TEMPORARY TABLE {relation} (trap text)".encode())
        for query in queries_for(subject):
            if query.name not in UTILITY:
                await connection.execute(b"PREPARE described AS " + query.text.encode())
                await connection.execute("DEALLOCATE described")


_TRAP = """
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.same(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.same(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.same);
CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.same);
ALTER ROLE dbre_trapped SET search_path = trap, pg_catalog;
"""


async def test_the_first_statement_of_a_session_runs_no_operator_of_others(subject: Subject) -> None:
    """Until it has run the session goes by the search_path of the role or database, which its owner may set."""
    access = await subject.new_login("dbre_trapped", "s3cret-trapped", is_granted=True)
    async with await subject.server.connect() as admin:
        await admin.execute(_TRAP.encode())
        server = subject.engine.connect(access)
        try:
            assert (await server.session.identify()).version
        finally:
            await server.aclose()
            await admin.execute("DROP SCHEMA trap CASCADE")
            await admin.execute("ALTER ROLE dbre_trapped RESET search_path")


async def test_every_header_names_the_privilege_without_which_the_statement_is_not_sent_or_fails(
    subject: Subject,
) -> None:
    access = await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    server = subject.engine.connect(access)
    try:
        for query in queries_for(subject):
            if query.privilege == CONNECT:
                continue
            if query.privilege == MONITOR:  # the views hide columns instead of failing: the engine refuses beforehand
                with pytest.raises(Denied, match="needs pg_monitor, which role 'dbre_bare' lacks"):
                    await server._link.ask(lambda asking, query=query: asking.rows(query.name, *[1 for _ in query.parameters]))
                continue
            async with (
                await subject.server.connect() as admin,
                await connected(subject, "dbre_bare", "s3cret-bare") as connection,
            ):
                raw = psycopg.AsyncRawCursor(connection)
                values = [SAMPLES.get(parameter.type, 1) for parameter in query.parameters]
                if query.privilege == READ_CONTROL:  # everybody's, until it is taken away
                    await admin.execute("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await raw.execute(query.text.encode(), values)
                await admin.execute("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC")
    finally:
        await server.aclose()


async def test_statements_for_connect_run_under_a_bare_login(subject: Subject) -> None:
    await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    async with await connected(subject, "dbre_bare", "s3cret-bare") as connection:
        for query in queries_for(subject):
            if query.privilege == CONNECT and query.name not in UTILITY and not query.parameters:
                await connection.execute(query.text.encode())


async def test_the_states_of_other_sessions_are_hidden_without_pg_monitor(subject: Subject) -> None:
    """Why the header of activity asks for more than the view does: without it the counts would be wrong."""
    await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    (summary,) = [query for query in queries_for(subject) if query.name == "activity_summary"]
    async with subject.busy_session(), await connected(subject, "dbre_bare", "s3cret-bare") as connection:
        cursor = await connection.execute(summary.text.encode())
        (states, *_) = await cursor.fetchone()
    assert "idle in transaction" not in states


async def test_reading_facets_never_write(subject: Subject) -> None:
    """The sessions behind the facets are read-only by default."""
    server = subject.engine.connect(subject.access)
    try:

        async def limits(conversation: object) -> dict[str, str]:
            cursor = await conversation.connection._driver.execute(  # type: ignore[attr-defined]
                "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1)",
                [["default_transaction_read_only", "statement_timeout", "lock_timeout", "search_path"]],
            )
            return dict(await cursor.fetchall())

        found = await server._link.ask(limits)
    finally:
        await server.aclose()
    assert found == {
        "default_transaction_read_only": "on",
        "statement_timeout": "5000",
        "lock_timeout": "500",
        "search_path": "pg_catalog, pg_temp",
    }
