"""The smallest script that lets a role do all that dbre asks of PostgreSQL."""

from psycopg import sql

from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.engines.postgres.queries import named

__all__ = ["grant_script"]

_LONGEST_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL would cut a longer one, and grant to another role


def grant_script(user: str) -> str:
    """SQL for an administrator, to be run in the database that dbre connects to; running it again changes nothing.

    The role itself, with its password, is the administrator's to create; the first line says so.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    size = len(user.encode("utf-8", "surrogatepass"))
    if not user or "\0" in user or size > _LONGEST_NAME_BYTES or not _is_text(user):
        raise UsageError(
            f"a role's name has 1 to {_LONGEST_NAME_BYTES} bytes of text, and this one has {size}",
            hint="name the role that dbre logs in as: --user dbre",
        )
    role = sql.Identifier(user)
    connect = sql.SQL("BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {}); END").format(
        sql.Literal(user)
    )
    statements = (
        sql.SQL("DO {}").format(sql.Literal(connect.as_string(None))).as_string(None),
        sql.SQL("GRANT pg_monitor TO {}").format(role).as_string(None),
        named("heartbeat_schema").text,
        named("heartbeat_table").text,
        sql.SQL("GRANT USAGE ON SCHEMA dbre TO {}").format(role).as_string(None),
        sql.SQL("GRANT SELECT, INSERT, UPDATE ON dbre.heartbeat TO {}").format(role).as_string(None),
    )
    expected = f"-- The role must be there: CREATE ROLE {printable(role.as_string(None))} LOGIN\n"
    return expected + "".join(statement + ";\n" for statement in statements)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
