"""The smallest script that lets a user do all that dbre asks of MySQL or MariaDB."""

from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.engines.mysql.facts import CERTIFICATE, COPY, STREAM, SUCCEED, WRITE_CANARY, WRITE_CLIENT
from dbre.engines.mysql.queries import catalog

__all__ = ["backup_grants", "client_grants", "grant_script", "mischief_grants", "succession_grants"]

_LONGEST_USER = 128  # characters, in MariaDB; MySQL refuses more than 32 itself
_ANY_HOST = "%"


def grant_script(user: str) -> str:
    """SQL for an administrator, to be run on the primary; running it again changes nothing.

    ``user`` may carry a host: ``dbre@10.0.0.%``; without one the account is for any host. Lines in ``/*! */`` are read by MySQL
    8 only, lines in ``/*M! */`` by MariaDB only. The account itself, with its password, is the administrator's to create;
    the first line says so.

    Raises: UsageError where ``user`` cannot be the name of a user.
    """
    account = _account(user)
    changing = _granting("SUPER ON *.*", account)
    create = {query.name: query.text for query in catalog().queries if query.name.startswith("heartbeat_")}
    table = "\n".join(line for line in create["heartbeat_table"].splitlines() if not line.startswith("--"))
    return "\n".join(
        (
            f"/* The account must be there: CREATE USER {printable(account)} */",
            f"{create['heartbeat_schema']};",
            f"{table};",
            _granting("SELECT, INSERT, UPDATE ON dbre.heartbeat", account) + ";",
            _granting("PROCESS ON *.*", account) + ";",
            f"/*M!100509 {_granting('SLAVE MONITOR ON *.*', account)} */;",
            f"/*!80000 {_granting('REPLICATION CLIENT ON *.*', account)} */;",
            f"/*!80000 {_granting('SELECT ON performance_schema.*', account)} */;",
            f"/* Not granted. To let dbre settings apply change parameters of MariaDB: {printable(changing)} */",
            *(f"/* Not granted. To back MariaDB up (dbre backup): {printable(one)} */" for one in backup_grants(user)),
            *(
                f"/* Not granted. To change who is primary of MariaDB (dbre ha switchover): {printable(one)} */"
                for one in succession_grants(user)
            ),
            *(
                f"/* Not granted. To act as a client that writes rows of its own (dbre ha probe): {printable(one)} */"
                for one in client_grants(user)
            ),
            *(
                f"/* Not granted. To make faults on purpose in MariaDB (dbre chaos): {printable(one)} */"
                for one in mischief_grants(user)
            ),
            "",
        )
    )


def backup_grants(user: str) -> tuple[str, ...]:
    """What a login of MariaDB needs besides to copy the server, receive its log, and write the canary.

    Raises: UsageError where ``user`` cannot be the name of a user.
    """
    account = _account(user)
    create = [query.text for query in catalog().queries if query.name in ("canary_schema", "canary_table")]
    return (
        _granting(f"{COPY}, {STREAM} ON *.*", account),
        *(" ".join(text.split()) for text in create),
        _granting(WRITE_CANARY, account),
    )


def client_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to act as a probe client. Raises: UsageError for an impossible name."""
    account = _account(user)
    names = ("client_schema", "client_ledger_table", "client_register_table")
    texts = {query.name: query.text for query in catalog().queries if query.name in names}
    return (
        *(" ".join(texts[name].split()) for name in names),
        _granting("SELECT, INSERT, DELETE ON dbre.client_ledger", account),
        _granting(WRITE_CLIENT, account),
    )


def mischief_grants(user: str) -> tuple[str, ...]:
    """What a login of MariaDB needs besides to make the faults of ``dbre chaos``, but locks of tables.

    Raises: UsageError for an impossible name.
    """
    return (_granting(f"REPLICATION SLAVE ADMIN, SLAVE MONITOR, CONNECTION ADMIN, {CERTIFICATE} ON *.*", _account(user)),)


def succession_grants(user: str) -> tuple[str, ...]:
    """What a login of MariaDB needs besides to change who is primary. Raises: UsageError for an impossible name."""
    return (_granting(f"{SUCCEED} ON *.*", _account(user)),)


def _account(user: str) -> str:
    name, at, host = user.rpartition("@")
    if not at:
        name, host = user, _ANY_HOST
    if not name or len(name) > _LONGEST_USER or not host or "\0" in user or not _is_text(user):
        raise UsageError(
            f"a user's name has 1 to {_LONGEST_USER} characters of text, and this one has {len(name)}",
            hint="name the user that dbre logs in as: --user dbre, or --user dbre@10.0.0.%",
        )
    if "*/" in user:  # it would end the executable comments, and be read as SQL
        raise UsageError("a user's name without */ is needed", hint="name the user that dbre logs in as: --user dbre")
    return f"{_quoted(name)}@{_quoted(host)}"


def _granting(what: str, account: str) -> str:
    return f"GRANT {what} TO {account}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(name: str) -> str:
    """A name between backticks, which ``sql_mode`` cannot change the meaning of, unlike quotation marks and backslashes."""
    return "`" + name.replace("`", "``") + "`"
