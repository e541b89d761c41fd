"""The socket, and the HTTP server on it."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn

from dbre.core.errors import Conflict, UsageError
from dbre.web.application import create_app
from dbre.web.document import ServerDocument
from dbre.web.services import Services

__all__ = ["address_of", "bind", "listen", "run_server", "serve"]

_CONNECTIONS = 500
_GRACE_SECONDS = 2  # for requests under way when told to stop


def listen(document: ServerDocument) -> socket.socket:
    """Take the port, before anything else is begun. Raises: Conflict if it is taken, UsageError if it cannot be had."""
    return bind(document.host, document.port)


def bind(host: str, port: int, *, key: str = "server.host") -> socket.socket:
    """Listen on an address; ``key`` is where it is configured. Raises: Conflict if it is taken, UsageError."""
    where = f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
        # Connections inherit it, and asyncio sets it only where a socket names its protocol, which this one does not: without
        # it the body of an answer waits for the client to confirm the head, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise UsageError(
            f"{key} {host!r} is not an address of this machine: {reason}",
            hint="127.0.0.1 for this machine only, 0.0.0.0 for all networks",
        ) from error
    except PermissionError as error:
        raise UsageError(
            f"cannot listen on {where}: {error.strerror}",
            hint="ports below 1024 are for root: set server.port to a higher one, and put a proxy in front of it",
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "`dbre db status` names a control plane that runs already; else ss -ltnp, or --set server.port=8433 (0: any)"
            raise Conflict(f"{where} is taken by another process", hint=hint) from error
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "ip address show lists the machine's own; 0.0.0.0 is all of them"
            raise UsageError(f"{key} {host} is not an address of this machine", hint=hint) from error
        raise UsageError(f"cannot listen on {where}: {error.strerror}", hint="see server.host and server.port") from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Leaves the signals to the control plane, which has more to close than the web server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(services: Services, listener: socket.socket) -> None:
    """Answer requests until cancelled; then those under way get two seconds."""
    config = uvicorn.Config(
        create_app(services),
        http="h11",  # its limits and its strictness are what pages and API are tested with; ingest has a listener of its own
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=5,
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=_CONNECTIONS,
        lifespan="off",
    )
    await run_server(config, listener)


async def run_server(config: uvicorn.Config, listener: socket.socket) -> None:
    """Run a server until cancelled; then requests under way get two seconds."""
    server = _Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        server.should_exit = True
        await asyncio.wait([task], timeout=_GRACE_SECONDS + 1)
        raise
