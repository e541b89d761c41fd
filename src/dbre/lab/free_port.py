"""Free TCP ports, on loopback unless another address is named."""

import secrets
import socket
from pathlib import Path

from dbre.lab.errors import PortTaken

__all__ = ["LOOPBACK", "choose_port", "is_free"]

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Whether a server could listen there now; connections that linger after an earlier server do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True


def choose_port(address: str = LOOPBACK) -> int:
    """A port where nobody listens, outside the range from which the kernel takes the client ends of connections.

    From inside that range, some client could take the port of a server that was killed and is to be started again.
    Between this choice and the server's bind somebody else may come: the caller tries again with another port.
    """
    highest = _ephemeral_start() - 1
    if highest - _LOWEST < 1000:  # an unusual range: let the kernel choose
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
            return int(trial.getsockname()[1])
    for _ in range(200):
        port = _LOWEST + secrets.randbelow(highest - _LOWEST + 1)  # no shared seed: parallel labs must differ
        if is_free(port, address):
            return port
    raise PortTaken(f"no free port between {_LOWEST} and {highest} in 200 tries", hint="stop some servers: ss -ltn")


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
