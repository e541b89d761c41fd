"""Every statement in ``sql/`` is known to the server under the granted login, and needs the privilege that its header names."""

import asyncmy
import pytest
from mysql_kit import administrator, execute

from dbre.engines.mysql.facts import LOGIN, Product
from dbre.engines.mysql.queries import catalog
from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.versions import VersionRange
from dbre.testing.conformance import Subject

OURS = {"heartbeat_schema", "heartbeat_table"} | {  # an administrator's, where the login may not
    query.name
    for query in catalog().queries
    if query.facet in (Facet.BACKUP, Facet.CANARY, Facet.CLIENT, Facet.INTEGRITY, Facet.MISCHIEF, Facet.SUCCESSION)
}


def queries_for(subject: Subject) -> list[NamedQuery]:
    return [
        query
        for query in catalog().queries
        if subject.version in VersionRange.parse(query.versions) and (not query.products or subject.product in query.products)
    ]


async def connected(subject: Subject, user: str, password: str) -> asyncmy.Connection:
    address = subject.access.address
    return await asyncmy.connect(host=address.host, port=address.port, user=user, password=password, autocommit=True)


async def test_every_statement_is_prepared_and_described_under_the_granted_login(subject: Subject) -> None:
    connection = await connected(subject, str(subject.access.user), subject.access.password.reveal())
    for query in queries_for(subject):
        if query.name in OURS:
            continue
        statement = await connection.prepare(query.text)
        assert statement.parameter_count == len(query.parameters), query.source
        await statement.close()
        if not query.parameters:
            async with connection.cursor() as cursor:
                await cursor.execute(query.text)
                names = [column[0] for column in cursor.description or ()]
            assert len(names) == len(set(names)), query.source
            assert not [name for name in names if "(" in name], query.source
    await connection.ensure_closed()


PRIVILEGED = {
    query.name for query in catalog().queries if query.privilege != LOGIN and query.products != (Product.MYSQL.value,)
}


@pytest.mark.parametrize("name", sorted(PRIVILEGED - OURS))
async def test_a_statement_needs_the_privilege_that_its_header_names(subject: Subject, name: str) -> None:
    """Refused, or blind: PROCESS shows other people's sessions and nothing is said where it is missing."""
    queries = [query for query in queries_for(subject) if query.name == name]
    access = await subject.new_login("unprivileged", "s3cret-unprivileged", is_granted=False)
    connection = await connected(subject, "unprivileged", access.password.reveal())
    (query,) = queries
    arguments = {"text": "0", "integer": 100, "bigint": 1}
    values = [arguments[parameter.type] for parameter in query.parameters]
    try:
        statement = await connection.prepare(query.text)
        rows = (await statement.execute(values)).rows or ()
        refused = None
    except asyncmy.errors.MySQLError as error:
        rows, refused = (), error.args[0]
    finally:
        connection.close()
    assert refused in (1142, 1227) or (refused is None and query.privilege == "PROCESS")
    async with administrator(subject.server) as admin:
        everybody = await execute(admin, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'root'")
    assert everybody
    assert not {str(row[0]) for row in rows} & {str(number) for (number,) in everybody}


def test_no_statement_holds_another_one() -> None:
    """A semicolon or a comment after the end would be a second statement."""
    for query in catalog().queries:
        body = [line for line in query.text.splitlines() if not line.startswith("--")]
        assert ";" not in "".join(body), query.source
        assert not query.text.splitlines()[-1].startswith("--"), query.source
