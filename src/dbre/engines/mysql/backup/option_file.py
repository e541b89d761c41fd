"""How MariaDB's programs are told where and as whom to log in: by a file that only they can read, never by an argument."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.fleet import TlsMode
from dbre.core.programs.account import Account, give
from dbre.core.programs.scratch import scratch_directory
from dbre.ports.engine import Access

__all__ = ["login_file"]

_SOCKET_FILE = "mysqld.sock"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"}


@contextmanager
def login_file(access: Access, account: Account) -> Iterator[Path]:
    """An option file for ``--defaults-file``, readable by the account only."""
    with scratch_directory(account) as directory:
        path = directory / "client.cnf"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("[client]\n" + "".join(f"{name}={_quoted(value)}\n" for name, value in _options(access)))
        give(path, account)
        yield path


def _options(access: Access) -> Iterator[tuple[str, str]]:
    host = access.address.host
    if host.startswith("/"):
        yield "protocol", "socket"
        yield "socket", str(Path(host) / _SOCKET_FILE) if Path(host).is_dir() else host
    else:
        yield "protocol", "tcp"
        yield "host", host
        yield "port", str(access.address.port)
    yield "user", access.user or ""
    if access.password is not None:
        yield "password", access.password.reveal()
    if access.tls is TlsMode.DISABLE:
        yield "ssl", "0"
    elif access.tls is not TlsMode.PREFER:
        yield "ssl", "1"
    if access.tls_ca_file:
        yield "ssl-ca", access.tls_ca_file
    if access.tls is TlsMode.VERIFY_FULL:
        yield "ssl-verify-server-cert", "1"


def _quoted(value: str) -> str:
    """A value as option files are read: in double quotes, with escapes. Source: MariaDB, "Option files"."""
    return '"' + "".join(_ESCAPES.get(character, character) for character in value) + '"'
