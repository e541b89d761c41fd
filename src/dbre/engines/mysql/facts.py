"""What is true of MySQL and MariaDB, as data: products, versions, privileges, and what each error number means."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from dbre.ports.engine import Blame

__all__ = [
    "ADMINISTER",
    "CERTIFICATE",
    "CONTROL_REPLICA",
    "COPY",
    "CREATE_HEARTBEAT",
    "DEFAULT_PORT",
    "DUMP",
    "END_OF_LIFE",
    "END_SESSIONS",
    "ERRORS",
    "LOCK",
    "LOGIN",
    "MONITOR",
    "MONITOR_NAMES",
    "PERFORMANCE_SCHEMA",
    "PROCESS",
    "READ_HEARTBEAT",
    "READ_TABLES",
    "SECRET_SETTINGS",
    "STATEMENT_TIMEOUTS",
    "STATIC_SETTINGS",
    "STREAM",
    "SUCCEED",
    "TESTED_VERSIONS",
    "WRITE_CANARY",
    "WRITE_CLIENT",
    "WRITE_HEARTBEAT",
    "Meaning",
    "Product",
    "identify_product",
    "meaning_of",
]

DEFAULT_PORT = 3306

LOGIN = "USAGE"
PROCESS = "PROCESS"
MONITOR = "REPLICA MONITOR"  # MySQL and MariaDB before 10.5.9 call it REPLICATION CLIENT
READ_HEARTBEAT = "SELECT ON dbre.heartbeat"
WRITE_HEARTBEAT = "SELECT, INSERT, UPDATE ON dbre.heartbeat"
CREATE_HEARTBEAT = "CREATE ON dbre"
ADMINISTER = "SUPER"
CERTIFICATE = "RELOAD"  # FLUSH SSL
COPY = "BINLOG MONITOR, LOCK TABLES, PROCESS, RELOAD"  # what mariadb-backup asks for
DUMP = "SELECT, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR, RELOAD"
STREAM = "REPLICATION SLAVE"
SUCCEED = "CONNECTION ADMIN, READ_ONLY ADMIN, REPLICATION SLAVE ADMIN"
WRITE_CANARY = "SELECT, INSERT, DELETE ON dbre.canary"
WRITE_CLIENT = "SELECT, INSERT, UPDATE, DELETE ON dbre.client_register"
READ_TABLES = "SELECT on the tables"
LOCK = "LOCK TABLES, SELECT on the table"
CONTROL_REPLICA = "REPLICATION SLAVE ADMIN, REPLICA MONITOR"
END_SESSIONS = "PROCESS, CONNECTION ADMIN"
PERFORMANCE_SCHEMA = "SELECT ON performance_schema"

MONITOR_NAMES = {"REPLICA MONITOR", "SLAVE MONITOR", "REPLICATION CLIENT"}
"""As SHOW GRANTS of one product or version or another prints the privilege. MariaDB 10.5 split it off REPLICATION CLIENT."""


class Product(StrEnum):
    """Servers that speak this protocol."""

    MYSQL = "mysql"
    MARIADB = "mariadb"


TESTED_VERSIONS = {Product.MARIADB: ((10, 11),), Product.MYSQL: ()}
"""Versions on which every statement is proved; MySQL's come from its manual and are proved nowhere yet."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one error number says."""

    number: int
    blame: Blame
    retryable: bool
    name: str


_BAD, _OURS = Blame.BAD, Blame.EXCLUDED

ERRORS: tuple[Meaning, ...] = (
    Meaning(1015, _BAD, False, "table cannot be locked"),
    Meaning(1016, _BAD, False, "file cannot be opened"),
    Meaning(1021, _BAD, False, "disk full"),
    Meaning(1026, _BAD, False, "file cannot be written"),
    Meaning(1030, _BAD, False, "storage engine failed"),
    Meaning(1034, _BAD, False, "table damaged"),
    Meaning(1037, _BAD, True, "out of memory"),
    Meaning(1038, _BAD, True, "out of sort memory"),
    Meaning(1040, _BAD, True, "too many connections"),
    Meaning(1041, _BAD, True, "out of memory"),
    Meaning(1042, _BAD, True, "host name not resolved"),
    Meaning(1043, _BAD, True, "bad handshake"),
    Meaning(1044, _OURS, False, "no access to the database"),
    Meaning(1045, _OURS, False, "login refused"),
    Meaning(1047, _BAD, True, "node not ready"),  # Galera without quorum answers every statement with it
    Meaning(1049, _OURS, False, "no such database"),
    Meaning(1053, _BAD, True, "server shuts down"),
    Meaning(1054, _OURS, False, "no such column"),
    Meaning(1062, _OURS, False, "duplicate key"),
    Meaning(1064, _OURS, False, "syntax"),
    Meaning(1077, _BAD, True, "server shuts down"),
    Meaning(1079, _BAD, True, "server shuts down"),
    Meaning(1105, _BAD, False, "unknown error of the server"),
    Meaning(1114, _BAD, False, "table full"),
    Meaning(1129, _BAD, False, "host blocked after too many broken connections"),
    Meaning(1130, _OURS, False, "host not allowed"),
    Meaning(1135, _BAD, True, "no new thread"),
    Meaning(1142, _OURS, False, "privilege missing"),
    Meaning(1143, _OURS, False, "privilege missing"),
    Meaning(1146, _OURS, False, "no such table"),
    Meaning(1152, _BAD, True, "connection aborted"),
    Meaning(1158, _BAD, True, "network read failed"),
    Meaning(1159, _BAD, True, "network read timed out"),
    Meaning(1160, _BAD, True, "network write failed"),
    Meaning(1161, _BAD, True, "network write timed out"),
    Meaning(1194, _BAD, False, "table damaged"),
    Meaning(1195, _BAD, False, "table damaged"),
    Meaning(1203, _BAD, True, "too many connections of this user"),
    Meaning(1205, _BAD, True, "lock wait timeout"),
    Meaning(1213, _BAD, True, "deadlock"),
    Meaning(1226, _OURS, False, "limit of this user reached"),
    Meaning(1227, _OURS, False, "privilege missing"),
    # Several server options share this number; classify() reads the message for the one that concerns us.
    Meaning(1290, _BAD, False, "read-only server where writes were due"),
    Meaning(1317, _OURS, False, "statement cancelled on request"),
    Meaning(1451, _OURS, False, "constraint violation"),
    Meaning(1452, _OURS, False, "constraint violation"),
    Meaning(1792, _OURS, False, "write in a read-only transaction"),
    Meaning(1836, _BAD, False, "read-only storage engine"),
    Meaning(1927, _BAD, True, "connection killed"),
    Meaning(1969, _BAD, False, "statement timeout"),  # MariaDB: max_statement_time
    Meaning(3024, _BAD, False, "statement timeout"),  # MySQL: max_execution_time
    Meaning(3168, _BAD, True, "server not available"),
    Meaning(3169, _BAD, True, "connection killed"),
    Meaning(4031, _BAD, True, "idle session ended"),
)

END_OF_LIFE = {
    (Product.MARIADB, (10, 5)): date(2025, 6, 24),
    (Product.MARIADB, (10, 6)): date(2026, 7, 6),
    (Product.MARIADB, (10, 11)): date(2028, 2, 16),
    (Product.MARIADB, (11, 4)): date(2029, 5, 29),
    (Product.MYSQL, (8, 0)): date(2026, 4, 30),
    (Product.MYSQL, (8, 4)): date(2032, 4, 30),
}
"""When long-term versions stop being mended. Source: mariadb.org, "Maintenance policy"; MySQL lifetime support policy."""

STATEMENT_TIMEOUTS = frozenset({"1969", "3024"})

_STORAGE_ENGINE = range(126, 146)  # errors of the storage engine that reach the client unwrapped
_CLIENT_LIBRARY = range(2000, 2100)  # the client's own numbers: no server spoke
_BY_NUMBER = {meaning.number: meaning for meaning in ERRORS}
_BY_SQLSTATE = {"08": (_BAD, True, "connection failure"), "40": (_BAD, True, "transaction rolled back")}


def meaning_of(number: int, sqlstate: str | None) -> Meaning:
    """The entry for an error; else what its SQLSTATE's class says; else "excluded": what nobody listed must not spend a budget.

    Source: MariaDB and MySQL error references; SLI taxonomy of dbre.
    """
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    if number in _STORAGE_ENGINE:
        return Meaning(number, _BAD, False, "storage engine failed")
    if number in _CLIENT_LIBRARY:
        return Meaning(number, _BAD, True, "connection failure")
    blame, retryable, name = _BY_SQLSTATE.get((sqlstate or "")[:2], (_OURS, False, "error"))
    return Meaning(number, blame, retryable, name)


_VERSION = re.compile(r"(?:5\.5\.5-)?(\d+)\.(\d+)(?:\.(\d+))?")


def identify_product(version_text: str) -> tuple[Product, tuple[int, ...]]:
    """Product and version from what a server says of itself; forks of MySQL count as MySQL.

    MariaDB before 11 puts ``5.5.5-`` before its version in the greeting, for replicas that cannot read a 10.

    >>> identify_product("5.5.5-10.11.19-MariaDB-0+deb12u1-log")
    (<Product.MARIADB: 'mariadb'>, (10, 11, 19))
    """
    is_mariadb = "mariadb" in version_text.lower()
    match = _VERSION.match(version_text)
    numbers = tuple(int(part) for part in match.groups() if part) if match else ()
    return (Product.MARIADB if is_mariadb else Product.MYSQL), numbers


SECRET_SETTINGS = frozenset(
    {
        "authentication_ldap_sasl_bind_root_pwd",
        "authentication_ldap_simple_bind_root_pwd",
        "file_key_management_filekey",
        "hashicorp_key_management_token",
        "wsrep_sst_auth",
    }
)
"""Parameters whose value may be a secret; servers mask some of them, and we show none."""

STATIC_SETTINGS = frozenset(
    {
        "back_log", "basedir", "bind_address", "datadir", "disabled_storage_engines", "ft_min_word_len", "have_ssl",
        "innodb_buffer_pool_chunk_size", "innodb_buffer_pool_instances", "innodb_data_file_path", "innodb_data_home_dir",
        "innodb_directories", "innodb_doublewrite_dir", "innodb_flush_method", "innodb_ft_min_token_size",
        "innodb_log_group_home_dir", "innodb_numa_interleave", "innodb_open_files", "innodb_page_size",
        "innodb_purge_threads", "innodb_read_io_threads", "innodb_read_only", "innodb_rollback_on_timeout",
        "innodb_sort_buffer_size", "innodb_temp_data_file_path", "innodb_use_native_aio", "innodb_write_io_threads",
        "large_pages", "log_bin", "log_bin_basename", "log_replica_updates", "log_slave_updates", "lower_case_table_names",
        "open_files_limit", "performance_schema", "pid_file", "plugin_dir", "port", "relay_log", "relay_log_recovery",
        "report_host", "report_port", "secure_file_priv", "server_uuid", "skip_name_resolve", "skip_networking", "socket",
        "table_open_cache_instances", "thread_handling", "thread_stack", "tmpdir", "version", "version_comment",
    }
)  # fmt: skip
"""MySQL's parameters that need a restart. MariaDB tells them itself; MySQL does not. Source: MySQL 8.4 manual, 7.1.5."""
