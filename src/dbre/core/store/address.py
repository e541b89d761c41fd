"""The URL of the state store, checked: which database, and where; never with a password in it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from dbre.core.store.errors import StoreUrlInvalid
from dbre.core.text import printable, quoted

__all__ = ["PostgresAddress", "SqliteAddress", "StoreAddress", "parse_store_url"]

_HINT = "write sqlite:///dbre.db (relative to dbre.yaml), sqlite:////var/lib/dbre/dbre.db or postgresql://user@host/database"
_PARAMETERS = ("host", "port", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteAddress:
    """A file of this machine."""

    path: Path  # absolute

    def __str__(self) -> str:
        return f"sqlite:///{printable(str(self.path))}"

    @property
    def lock_path(self) -> Path:
        """The file whose lock keeps a second control plane away."""
        return self.path.with_name(self.path.name + ".lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """A database of a PostgreSQL server; several ``host:port`` are tried in their order."""

    host: str | None  # None: libpq's default, a socket directory or localhost
    port: int | None
    user: str | None
    database: str
    parameters: tuple[tuple[str, str], ...] = ()  # of libpq, only those that say how to reach the server

    @property
    def engine(self) -> str:
        """What a fleet calls servers of that kind: its database can be dumped like every other."""
        return "postgresql"

    def __str__(self) -> str:
        user = f"{quote(self.user)}@" if self.user else ""
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        port = f":{self.port}" if self.port else ""
        query = "&".join(f"{key}={quote(value, safe='/')}" for key, value in self.parameters)
        return printable(f"postgresql://{user}{host}{port}/{quote(self.database)}{'?' if query else ''}{query}")


StoreAddress = SqliteAddress | PostgresAddress


def parse_store_url(url: str, *, directory: Path | None = None) -> StoreAddress:
    """Read the URL of a store; a relative SQLite path is taken from ``directory``, or from where the process runs.

    >>> str(parse_store_url("postgresql://dbre@db.example/state"))
    'postgresql://dbre@db.example/state'

    Raises: StoreUrlInvalid, which never repeats the URL: it may hold a password, where nobody can tell it from the rest.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid("the host is no name, and no IPv6 address in brackets") from None
    if parts.scheme == "sqlite":
        return _sqlite(url, parts, directory or Path.cwd())
    if parts.scheme in ("postgresql", "postgres"):
        return _postgres(parts)
    raise _invalid(f"the scheme is {quoted(parts.scheme)}; sqlite and postgresql are known")


def _invalid(reason: str) -> StoreUrlInvalid:
    return StoreUrlInvalid(f"state.url: {reason}", hint=_HINT)


def _sqlite(url: str, parts: SplitResult, directory: Path) -> SqliteAddress:
    # The path is not percent-decoded: a file name may hold "%", and SQLAlchemy's own URLs do not decode it either.
    rest = url.removeprefix("sqlite:")
    if parts.netloc or not rest.startswith("///"):
        raise _invalid("three slashes begin a relative path, four an absolute one")
    name = rest.removeprefix("///")
    if not name or name.endswith("/") or name.startswith(":memory:"):
        raise _invalid("a file is needed: what a control plane knows must survive it")
    if "\x00" in name:
        raise _invalid("a path holds no NUL")
    try:
        return SqliteAddress(path=(directory / name).resolve())
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 call a circle of links a RuntimeError
        raise _invalid(f"the path cannot be followed: {printable(str(error))}") from error


def _postgres(parts: SplitResult) -> PostgresAddress:
    # A password with / ? or # in it ends up behind the host, together with the @.
    if parts.password is not None or "@" in parts.path + parts.query + parts.fragment:
        raise StoreUrlInvalid(
            "state.url: a password does not belong into a file that is shared",
            hint="leave it out of the URL and write  password: env:NAME  (or file:/path) beside it; @ in a name is written %40",
        )
    try:
        port = parts.port
    except ValueError:
        raise _invalid("the port is no number from 0 to 65535") from None
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise _invalid("one database name is needed after the host")
    try:
        parameters = tuple(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else ()
    except ValueError:
        raise _invalid("what follows the ? is not name=value") from None
    for key, _ in parameters:
        if key not in _PARAMETERS:
            raise _invalid(f"parameter {quoted(key)} is not one of {', '.join(_PARAMETERS)}")
    return PostgresAddress(
        host=unquote(parts.hostname) if parts.hostname else None,
        port=port,
        user=unquote(parts.username) if parts.username else None,
        database=database,
        parameters=parameters,
    )
