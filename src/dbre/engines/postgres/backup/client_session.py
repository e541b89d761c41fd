"""How PostgreSQL's own clients log in to a server: address, TLS and password, none of it on a command line."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from dbre.core.errors import UsageError
from dbre.core.fleet import TlsMode
from dbre.engines.postgres.backup.private_files import write_private
from dbre.engines.postgres.backup.tls_bridge import tls_bridge
from dbre.engines.postgres.backup.toolbox import Client
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access

__all__ = ["ClientSession", "client_session", "wants_tls"]

_FIRST_SYSTEM_AUTHORITIES = 16  # sslrootcert=system


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSession:
    """What a client gets."""

    conninfo: str  # without the password
    environment: Mapping[str, str]
    is_bridged: bool  # TLS is spoken by us, not by the client


def wants_tls(access: Access) -> bool:
    """Whether the connection should be encrypted; over a socket file nobody listens."""
    return access.tls is not TlsMode.DISABLE and not access.address.host.startswith("/")


@asynccontextmanager
async def client_session(
    access: Access, client: Client, place: Place, *, scratch: Path, name: str
) -> AsyncIterator[ClientSession]:
    """A way to the server for as long as the block lasts; clients without TLS get it over a bridge.

    Raises: UsageError where the password cannot stand in a password file.
    """
    async with AsyncExitStack() as stack:
        is_bridged = wants_tls(access) and not _can_speak(access, client)
        address = access.address
        if is_bridged:
            address = await stack.enter_async_context(tls_bridge(access, place.account, directory=scratch))
        given = {
            "host": address.host,
            "port": address.port,
            "user": access.user,
            "dbname": access.database or "postgres",
            "application_name": name,
            "connect_timeout": max(2, round(access.timeouts.connect_seconds)),
            "gssencmode": "disable",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **({} if is_bridged else _tls(access, client, place, scratch)),
        }
        environment: dict[str, str] = {}
        if access.password is not None:
            environment["PGPASSFILE"] = str(write_private(scratch / "pgpass", _passfile(access), place.account))
        conninfo = make_conninfo("", **{key: value for key, value in given.items() if value is not None})
        yield ClientSession(conninfo=conninfo, environment=environment, is_bridged=is_bridged)


def _can_speak(access: Access, client: Client) -> bool:
    """Whether the client can encrypt as the access demands: the system's authorities are known from version 16 on."""
    is_by_system = access.tls is TlsMode.VERIFY_FULL and access.tls_ca_file is None
    return client.has_tls and (not is_by_system or client.binaries.version >= _FIRST_SYSTEM_AUTHORITIES)


def _tls(access: Access, client: Client, place: Place, scratch: Path) -> dict[str, str]:
    if not client.has_tls:
        return {}
    found = {"sslmode": access.tls.value}
    if access.tls_ca_file is not None:
        data = Path(access.tls_ca_file).read_bytes()  # which the account need not be able to read
        found["sslrootcert"] = str(write_private(scratch / "authorities.pem", data, place.account))
    elif access.tls is TlsMode.VERIFY_FULL:
        found["sslrootcert"] = "system"
    return found


def _passfile(access: Access) -> str:
    password = access.password.reveal() if access.password else ""
    if "\n" in password or "\r" in password:
        raise UsageError(
            f"the password for {access.address} holds a line break, which PostgreSQL's clients cannot read from a file",
            hint="give the role another password",
        )
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"
