"""What is true of PostgreSQL, as data: versions, privileges, and what each SQLSTATE means for an objective."""

from dataclasses import dataclass
from datetime import date

from dbre.ports.engine import Blame

__all__ = [
    "CHECK_INDEXES",
    "CONNECT",
    "CREATE_IN_DATABASE",
    "DEFAULT_PORT",
    "END_OF_LIFE",
    "MONITOR",
    "PROMOTE",
    "READ_ALL",
    "READ_CONTROL",
    "READ_FILES",
    "READ_HEARTBEAT",
    "READ_TABLES",
    "REDIRECT",
    "RELOAD",
    "REPLICATE",
    "SQLSTATES",
    "STATEMENT_TIMEOUT",
    "TESTED_VERSIONS",
    "WRITE_CANARY",
    "WRITE_CLIENT",
    "WRITE_HEARTBEAT",
    "Meaning",
    "meaning_of",
]

DEFAULT_PORT = 5432
TESTED_VERSIONS = {"postgresql": ((15,), (16,), (18,))}
"""Versions on which every statement is proved."""

END_OF_LIFE = {
    13: date(2025, 11, 13), 14: date(2026, 11, 12), 15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}  # fmt: skip
"""The last minor release of each major version. Source: postgresql.org, "Versioning Policy"."""

STATEMENT_TIMEOUT = "57014"

CONNECT = "CONNECT"
MONITOR = "pg_monitor"
READ_HEARTBEAT = "SELECT ON dbre.heartbeat"
WRITE_HEARTBEAT = "SELECT, INSERT, UPDATE ON dbre.heartbeat"
CREATE_IN_DATABASE = "CREATE ON DATABASE"
READ_CONTROL = "EXECUTE ON pg_control_system"
READ_FILES = "SELECT ON pg_file_settings"
RELOAD = "EXECUTE ON pg_reload_conf"
WRITE_CANARY = "SELECT, INSERT, DELETE ON dbre.canary"
WRITE_CLIENT = "SELECT, INSERT, UPDATE, DELETE ON dbre.client_register"
REPLICATE = "REPLICATION"
PROMOTE = "EXECUTE ON pg_promote"
REDIRECT = "ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name"
READ_ALL = "pg_read_all_data"
READ_TABLES = "SELECT on the tables"
CHECK_INDEXES = "EXECUTE ON FUNCTIONS OF amcheck"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a SQLSTATE, or a whole class of them, says."""

    prefix: str  # two characters: the class; five: one code, which wins over its class
    blame: Blame
    retryable: bool
    name: str


_BAD, _OURS = Blame.BAD, Blame.EXCLUDED

SQLSTATES: tuple[Meaning, ...] = (
    Meaning("08", _BAD, True, "connection failure"),
    Meaning("0A", _OURS, False, "feature not supported"),
    Meaning("22", _OURS, False, "data exception"),
    Meaning("23", _OURS, False, "constraint violation"),
    Meaning("25", _OURS, False, "invalid transaction state"),
    Meaning("25006", _BAD, False, "read-only server where writes were due"),
    Meaning("25P03", _BAD, True, "idle in transaction for too long"),  # our transactions are short: the path was stuck
    Meaning("25P04", _BAD, True, "transaction timeout"),
    # Another user's wrong password is that user's affair. dbre judges its own probe role here, whose login is configured:
    # if it cannot log in, nobody knows that others can (slo.md 4.2).
    Meaning("28", _BAD, False, "login refused"),
    Meaning("3D000", _OURS, False, "no such database"),
    Meaning("3F000", _OURS, False, "no such schema"),
    Meaning("40", _BAD, True, "transaction rolled back"),
    Meaning("40001", _BAD, True, "serialization failure"),
    Meaning("40P01", _BAD, True, "deadlock"),
    Meaning("42", _OURS, False, "syntax, name or privilege"),
    Meaning("42501", _OURS, False, "privilege missing"),
    Meaning("53", _BAD, False, "out of resources"),
    Meaning("53300", _BAD, True, "too many connections"),
    Meaning("55", _OURS, False, "object not in the right state"),
    Meaning("55P03", _BAD, True, "lock not available in time"),
    Meaning("57", _BAD, False, "operator intervention"),
    Meaning("57014", _BAD, False, "statement timeout"),  # a cancel on request has the same code: see classify()
    Meaning("57P01", _BAD, True, "connection ended by an administrator or a shutdown"),
    Meaning("57P02", _BAD, True, "connection ended by a crash of another process"),
    Meaning("57P03", _BAD, True, "server starts, stops or recovers"),
    Meaning("57P04", _BAD, False, "database dropped"),
    Meaning("57P05", _BAD, True, "idle session ended"),
    Meaning("58", _BAD, False, "system error outside PostgreSQL"),
    Meaning("P0", _OURS, False, "raised by a function"),
    Meaning("XX", _BAD, False, "internal error or corruption"),
)  # fmt: skip

_BY_PREFIX = {meaning.prefix: meaning for meaning in SQLSTATES}
_UNLISTED = Meaning("", _OURS, False, "error")


def meaning_of(sqlstate: str) -> Meaning:
    """The entry for a code: its own, else its class's, else "excluded": what nobody listed must not spend a budget.

    Source: PostgreSQL manual, appendix A; SLI taxonomy of dbre.
    """
    return _BY_PREFIX.get(sqlstate) or _BY_PREFIX.get(sqlstate[:2]) or _UNLISTED
