"""Name resolution, sockets and TLS for drivers that leave them to us."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode

__all__ = ["LIMIT_LOOKUPS", "Target", "connect", "failure_word", "resolve", "tls_context"]

LIMIT_LOOKUPS = 256
"""Names that are looked up at once in this process; further ones fail, as they would in a system without threads to spare."""

_LOOKUPS = threading.BoundedSemaphore(LIMIT_LOOKUPS)
_Found = tuple[Any, Any, Any, Any, Any]  # of getaddrinfo; the last is the address


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One numeric address that a host name stands for."""

    host: str
    port: int


async def resolve(address: Address) -> Sequence[Target]:
    """The numeric addresses of a host in the order of the system's preference (RFC 6724); at least one.

    A numeric address resolves without asking anybody. The caller sets the deadline: a name server that does not answer keeps
    a thread busy for as long as the system's resolver wants. Each name has a thread of its own: the few of the event loop's
    executor would all wait for such names, other names and secrets behind them, and the end of the process as well.

    Raises: OSError (socket.gaierror) where the name is unknown.
    """
    with suppress(ValueError):
        return [Target(host=str(ipaddress.ip_address(address.host)), port=address.port)]
    answer: asyncio.Future[list[_Found]] = asyncio.get_running_loop().create_future()
    if not _LOOKUPS.acquire(blocking=False):
        raise socket.gaierror(socket.EAI_AGAIN, f"{LIMIT_LOOKUPS} names are being looked up already")
    try:
        threading.Thread(target=_look_up, args=(address, answer), name="dbre-resolve", daemon=True).start()
    except RuntimeError as error:  # the system has no thread to spare
        _LOOKUPS.release()
        raise socket.gaierror(socket.EAI_AGAIN, str(error)) from error
    found = await answer
    unique = dict.fromkeys((str(entry[4][0]), int(entry[4][1])) for entry in found)
    return [Target(host=host, port=port) for host, port in unique]


def _look_up(address: Address, answer: "asyncio.Future[list[_Found]]") -> None:
    found: list[_Found] = []
    failure: OSError | None = None
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except ValueError:  # a label that is empty or too long
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    except OSError as error:
        failure = error
    finally:
        _LOOKUPS.release()

    def settle() -> None:
        if answer.done():
            return  # nobody waits any more
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)

    with suppress(RuntimeError):  # the event loop is closed
        answer.get_loop().call_soon_threadsafe(settle)


async def connect(target: Target) -> socket.socket:
    """A connected TCP socket, not blocking; the caller sets the deadline. Raises: OSError."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setblocking(False)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(found, (target.host, target.port))
    except BaseException:
        found.close()
        raise
    return found


def tls_context(mode: TlsMode, ca_file: str | None) -> ssl.SSLContext | None:
    """The client side of TLS for a mode, or None where it is off; without ``ca_file`` the system's authorities count.

    As in libpq, ``prefer`` and ``require`` encrypt without checking whom they talk to, except that ``require`` with a CA file
    checks the chain; ``verify-full`` checks the name as well. A context is made anew for each connection, so that a renewed CA
    file is noticed.

    Raises: UsageError where the file cannot be read or holds no certificate.
    Source: PostgreSQL manual, 34.19.1 "Client Verification of Server Certificates".
    """
    if mode is TlsMode.DISABLE:
        return None
    is_verified = mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL) or (mode is TlsMode.REQUIRE and ca_file is not None)
    if is_verified:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise UsageError(
                f"the CA file {ca_file} cannot be used: {error.strerror or error}",
                hint="tls_ca_file names a file of certificates in PEM form that dbre may read",
            ) from error
        context.check_hostname = mode is TlsMode.VERIFY_FULL
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def failure_word(error: BaseException) -> str:
    """One word for how a network failed: ``timeout``, ``dns``, ``tls``, ``connection_refused``, ``network_unreachable``.

    All else is ``connection_lost``: what ends a connection without saying why.
    """
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):  # the latter: a socket file of a server that is not there
        return "connection_refused"
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        return "network_unreachable"
    return "connection_lost"
