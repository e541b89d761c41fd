"""Connection strings of PostgreSQL's clients, read as text: ``postgresql://``, ``key=value``, ``jdbc:postgresql://``.

Nothing is connected to, and passwords are dropped while reading: what is returned can be shown.
Source: PostgreSQL manual, 34.1.1 "Connection Strings"; pgJDBC manual, "Connection Parameters".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from dbre.core.errors import UsageError
from dbre.core.fleet import Address

__all__ = ["ConnectionString", "parse"]

_DEFAULT_PORT = 5432
_LONGEST = 10_000
_SECRET = frozenset({"password", "sslpassword", "passfile", "oauth_client_secret", "sslkey"})
_PAIR = re.compile(r"\s*(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<plain>(?:[^\s'\\]|\\.)*))")
_URI = re.compile(r"(?P<scheme>[a-z0-9:]+)://(?P<rest>.*)", re.DOTALL)
_HINT = "write postgresql://user@host1:5432,host2:5432/database?option=value, or host=host1,host2 port=5432 dbname=database"
_JDBC = MappingProxyType(
    {  # what means the same in libpq, by the name it has there
        "targetServerType": "target_session_attrs",
        "connectTimeout": "connect_timeout",
        "tcpKeepAlive": "keepalives",
        "user": "user",
        "ApplicationName": "application_name",
        "loadBalanceHosts": "load_balance_hosts",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionString:
    """What a client was told, without secrets."""

    hosts: tuple[Address, ...]  # in the order in which they are tried; none where it names none
    options: Mapping[str, str] = field(default_factory=dict)  # libpq's names, also for what another driver calls otherwise
    is_jdbc: bool = False  # socketTimeout takes the place of tcp_user_timeout

    def seconds(self, option: str) -> float | None:
        """A number of an option; None where it is not there or none."""
        try:
            return float(self.options[option])
        except (KeyError, ValueError):
            return None


def parse(text: str) -> ConnectionString:
    """Read a connection string. Raises: UsageError, which never repeats the text: a password may stand in it.

    >>> parse("postgresql://app:secret@pg1,pg2:5433/shop?connect_timeout=2").hosts
    (Address(host='pg1', port=5432), Address(host='pg2', port=5433))
    """
    text = text.strip()
    if not text or len(text) > _LONGEST or any(ord(one) < 32 or ord(one) == 127 for one in text):
        raise UsageError("not a connection string: empty, too long, or with control characters in it", hint=_HINT)
    match = _URI.match(text)
    if match is None:
        return _key_value(text)
    if match["scheme"] not in ("postgresql", "postgres", "jdbc:postgresql"):
        raise UsageError("only connection strings of PostgreSQL can be judged, and this has another scheme", hint=_HINT)
    return _uri(match["rest"], is_jdbc=match["scheme"].startswith("jdbc:"))


def _uri(rest: str, *, is_jdbc: bool) -> ConnectionString:
    before, _, query = rest.partition("?")
    authority, _, database = before.partition("/")
    user, _, places = authority.rpartition("@")
    given: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError("the connection string has an option without =", hint=_HINT)
        given[unquote(key)] = unquote(value)
    if user:
        given.setdefault("user", unquote(user.partition(":")[0]))
    if database:
        given.setdefault("dbname", unquote(database))
    hosts = tuple(_address(one) for one in places.split(",")) if places else ()
    if "host" in given:
        hosts = _hosts(given)
    return _made(hosts, given, is_jdbc=is_jdbc)


def _key_value(text: str) -> ConnectionString:
    given, end = {}, 0
    while end < len(text):
        match = _PAIR.match(text, end)
        if match is None or not (match.end() == len(text) or text[match.end()].isspace()):
            raise UsageError("not a connection string", hint=_HINT)
        value = match["quoted"] if match["quoted"] is not None else match["plain"]
        given[match["key"]] = re.sub(r"\\(.)", r"\1", value)
        end = match.end()
    return _made(_hosts(given), given, is_jdbc=False)


def _hosts(given: Mapping[str, str]) -> tuple[Address, ...]:
    names = given.get("host", given.get("hostaddr", ""))
    if not names:
        return ()
    hosts, ports = names.split(","), given.get("port", "").split(",")
    if len(ports) not in (1, len(hosts)):
        raise UsageError(
            f"the connection string has {len(hosts)} hosts and {len(ports)} ports", hint="write one port, or one a host"
        )
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return tuple(
        _address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else host)
        for host, port in zip(hosts, ports, strict=True)
    )


def _address(text: str) -> Address:
    try:
        return Address.parse(unquote(text).removesuffix(":"), default_port=_DEFAULT_PORT)
    except UsageError:
        raise UsageError("the connection string names a host or port that cannot be", hint=_HINT) from None


def _made(hosts: tuple[Address, ...], given: Mapping[str, str], *, is_jdbc: bool) -> ConnectionString:
    options = {key: value for key, value in given.items() if key.lower() not in _SECRET}
    if is_jdbc:
        options = {_JDBC.get(key, key): value for key, value in options.items()}
        if options.get("keepalives", "").lower() in ("true", "false"):
            options["keepalives"] = "1" if options["keepalives"].lower() == "true" else "0"
        else:
            options["keepalives"] = "0"  # off unless asked for, unlike libpq
        options.setdefault("connect_timeout", "10")  # pgJDBC's default, in seconds
    return ConnectionString(hosts=hosts, options=options, is_jdbc=is_jdbc)
