"""The smallest script that lets a role do all that dbre asks of PostgreSQL."""

from collections.abc import Iterable

from psycopg import sql

from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.engines.postgres.queries import named

__all__ = [
    "backup_grants",
    "change_grants",
    "client_grants",
    "grant_script",
    "mischief_grants",
    "rejoin_grants",
    "succession_grants",
]

_LONGEST_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL would cut a longer one, and grant to another role

_OPTIONAL = """\
-- Not granted. To let dbre change parameters too (dbre settings apply), grant each one that it may change, and the last three:
"""
_OPTIONAL_BACKUPS = """\
-- Not granted. To let dbre copy the server and receive its log (dbre backup), grant these, and let pg_hba.conf have a line
-- for database replication; the last two are for the canary alone:
"""
_ROWS = """\
-- Not granted. To let dbre read rows (dbre backup diff, dbre integrity digest and compare) and bring a table back beside the
-- living one (dbre backup restore-table), grant the tables and the schema that it may:
"""
_OPTIONAL_SUCCESSION = """\
-- Not granted. To let dbre change who is primary (dbre ha switchover, failover), grant these:
"""
_OPTIONAL_REJOIN = """\
-- Not granted. To let dbre rewind a former primary (dbre ha rejoin), grant these besides. They let the login read every file
-- of the server: without them the former primary is copied anew, for which REPLICATION is enough.
"""
_OPTIONAL_CLIENTS = """\
-- Not granted. To let dbre act as a client that writes rows of its own (dbre ha probe), in the schema dbre alone:
"""
_CLIENT_TABLES = (
    "client_ledger_table",
    "client_ledger_index",
    "client_register_table",
    "client_list_table",
    "client_account_table",
)
_CLIENT = tuple(
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON dbre.client_{table} TO {{}}"
    for table in ("ledger", "register", "list", "account")
)
_SUCCEEDING = (
    "GRANT pg_checkpoint TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {}",
    "GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name TO {}",
    "ALTER ROLE {} REPLICATION",
)
_REWINDING = (
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO {}",
)
"""Source: PostgreSQL manual, pg_rewind, "Notes"."""
_BACKING_UP = (
    "ALTER ROLE {} REPLICATION",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point(text) TO {}",
)
_CANARY = ("GRANT SELECT, INSERT, DELETE ON dbre.canary TO {}",)
_COPYING = """\
-- Not granted. To let dbre copy the server and receive its log (dbre backup), and a line for replication in pg_hba.conf:
--   {};
"""
_READING = ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", "GRANT CREATE ON SCHEMA public TO {}")
_OPTIONAL_MISCHIEF = """\
-- Not granted. To let dbre make faults on purpose (dbre chaos); a table that is to be locked needs GRANT UPDATE besides:
"""
_FORCED = ("recovery_min_apply_delay", "archive_command", "ssl_cert_file", "ssl_key_file")
_MISCHIEF = (
    "ALTER ROLE {} REPLICATION",
    "GRANT pg_signal_backend TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_wal_replay_pause() TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_wal_replay_resume() TO {}",
)
_CHANGING = (
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {}",
    "GRANT SELECT ON pg_catalog.pg_file_settings TO {}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO {}",
)


def grant_script(user: str) -> str:
    """SQL for an administrator, to be run in the database that dbre connects to; running it again changes nothing.

    The role itself, with its password, is the administrator's to create; the first line says so.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    role = _role(user)
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
    optional = "".join(f"--   {printable(line)};\n" for line in change_grants(user, ("work_mem",)))
    backups = "".join(f"--   {printable(line)};\n" for line in backup_grants(user))
    granted = "".join(statement + ";\n" for statement in statements)
    rows = "".join(f"--   {printable(sql.SQL(text).format(role).as_string(None))};\n" for text in _READING)
    succession = "".join(f"--   {printable(line)};\n" for line in succession_grants(user))
    rejoining = "".join(f"--   {printable(line)};\n" for line in rejoin_grants(user))
    clients = "".join(f"--   {printable(line)};\n" for line in client_grants(user))
    mischief = "".join(f"--   {printable(line)};\n" for line in mischief_grants(user))
    return (
        expected
        + granted
        + _OPTIONAL
        + optional
        + _OPTIONAL_BACKUPS
        + backups
        + _ROWS
        + rows
        + _OPTIONAL_SUCCESSION
        + succession
        + _OPTIONAL_REJOIN
        + rejoining
        + _OPTIONAL_CLIENTS
        + clients
        + _OPTIONAL_MISCHIEF
        + mischief
    )


def backup_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to back the server up, and to write the canary of one database.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    role = _role(user)
    table = (named("canary_table").text,)
    return (
        *(sql.SQL(text).format(role).as_string(None) for text in _BACKING_UP),
        *(" ".join(text.split()) for text in table),
        *(sql.SQL(text).format(role).as_string(None) for text in _CANARY),
    )


def client_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to act as a probe client. Raises: UsageError where ``user`` cannot be the name of a role."""
    role = _role(user)
    return (
        *(" ".join(named(name).text.split()) for name in _CLIENT_TABLES),
        *(sql.SQL(text).format(role).as_string(None) for text in _CLIENT),
    )


def mischief_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to make the faults of ``dbre chaos`` that the server makes itself, but locks of tables.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    role = _role(user)
    own = tuple(sql.SQL(text).format(role).as_string(None) for text in _MISCHIEF)
    return (*own, *change_grants(user, _FORCED))


def succession_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides, to change who is primary, on PostgreSQL 15 and later.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    role = _role(user)
    return tuple(sql.SQL(text).format(role).as_string(None) for text in _SUCCEEDING)


def rejoin_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides, to rewind another server by this one. Raises: UsageError where it cannot name a role."""
    role = _role(user)
    return tuple(sql.SQL(text).format(role).as_string(None) for text in _REWINDING)


def change_grants(user: str, parameters: Iterable[str]) -> tuple[str, ...]:
    """What a login needs besides, to change these parameters by ``dbre settings apply``, and no others.

    Raises: UsageError where ``user`` cannot be the name of a role.
    """
    role = _role(user)
    each = [
        sql.SQL("GRANT ALTER SYSTEM ON PARAMETER {} TO {}").format(sql.Identifier(*one.split(".")), role) for one in parameters
    ]
    rest = [sql.SQL(text).format(role) for text in _CHANGING]
    return tuple(one.as_string(None) for one in (*each, *rest))


def _role(user: str) -> sql.Identifier:
    size = len(user.encode("utf-8", "surrogatepass"))
    if not user or "\0" in user or size > _LONGEST_NAME_BYTES or not _is_text(user):
        raise UsageError(
            f"a role's name has 1 to {_LONGEST_NAME_BYTES} bytes of text, and this one has {size}",
            hint="name the role that dbre logs in as: --user dbre",
        )
    return sql.Identifier(user)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
