"""The grant script: exactly enough, for any name, as often as you like."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from dbre.core.errors import UsageError
from dbre.engines.postgres.grants import grant_script
from dbre.lab.postgres import PostgresServer
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import opened

role_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: len(name.encode()) <= 63 and not name.startswith("pg_") and name not in {"none", "public"}
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=role_names)
async def test_any_name_is_one_identifier(postgres18: PostgresServer, name: str) -> None:
    """The script is run whole, as psql would: if a name could end a literal, it would fail or grant to somebody else."""
    async with await postgres18.connect() as admin:
        await admin.execute("BEGIN")
        await admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        await admin.execute(grant_script(name).encode())
        cursor = await admin.execute(
            "SELECT m.rolname FROM pg_catalog.pg_auth_members AS a JOIN pg_catalog.pg_roles AS m ON m.oid = a.member "
            "WHERE a.roleid = 'pg_monitor'::regrole AND m.rolname = %s",
            [name],
        )
        assert await cursor.fetchall() == [(name,)]
        await admin.execute("ROLLBACK")


async def test_the_script_can_be_run_again(subject: Subject) -> None:
    async with await subject.server.connect() as admin:
        for _ in range(2):
            await admin.execute(grant_script("dbre_granted").encode())


async def test_the_script_opens_a_database_that_public_may_not_enter(subject: Subject) -> None:
    """CONNECT is granted, and not only assumed; nobody else gains anything."""
    access = await subject.new_login("dbre_bare", "s3cret-bare", is_granted=False)
    async with await subject.server.connect() as admin:
        await admin.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    try:
        async with opened(subject) as server:
            assert (await server.session.identify()).user == "dbre_granted"
        async with opened(subject, access) as server:
            with pytest.raises(Exception, match="permission denied for database"):
                await server.session.identify()
    finally:
        async with await subject.server.connect() as admin:
            await admin.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
    async with opened(subject, access) as server:
        assert "SELECT ON dbre.heartbeat" not in await server.session.privileges()


@pytest.mark.parametrize("name", ["dbre", 'we"ird', "line\nDROP ROLE x; --"])
def test_the_first_line_names_the_role_that_must_be_there(name: str) -> None:
    shown = '"' + name.replace('"', '""').replace("\n", "\\n") + '"'
    first, second = grant_script(name).split("\n")[:2]
    assert first == f"-- The role must be there: CREATE ROLE {shown} LOGIN"
    assert second.startswith("DO ")


@pytest.mark.parametrize("name", ["", "nul\0", "x" * 64, "ü" * 32, "\ud800"])
def test_a_name_that_would_be_cut_or_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        grant_script(name)


def test_no_superuser_is_ever_needed() -> None:
    script = grant_script("dbre").upper()
    assert "SUPERUSER" not in script
    assert "PG_READ_SERVER_FILES" not in script
    assert "ALL PRIVILEGES" not in script
