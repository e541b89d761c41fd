"""What a slow line adds: the time of a connection and the bytes a second, beside the same two namespaces without it.

Run as root: ``.venv/bin/python bench/slow_line.py``. Two network namespaces behind a bridge; one connects to the other 200
times and then sends for some seconds.
"""

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.report import report
from kit.two_servers import quantile

from dbre.core.packets.detour import Detour, lay, remove
from dbre.core.packets.line import Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.slow_link import SlowLink
from dbre.lab.network.network import Network

CONNECTIONS = 200
SEND_SECONDS = 4.0
PORT = 5432
TABLE = 0x41000000
SHAPES = {
    "none": None,
    "0 ms": Shape(),
    "5 ms": Shape(delay_seconds=0.005),
    "50 ms": Shape(delay_seconds=0.05),
    "1 MB/s": Shape(bytes_per_second=1e6),
    "20 MB/s": Shape(bytes_per_second=20e6),
}


def swallow(listening: socket.socket) -> None:
    """Take whatever comes, from anybody."""

    def take(connection: socket.socket) -> None:
        with connection:
            while connection.recv(1 << 20):
                pass

    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=take, args=(connection,), daemon=True).start()


@contextmanager
def line(shape: Shape | None, source: str, target: str, namespace: Namespace) -> Iterator[None]:
    """The line, if there is to be one."""
    if shape is None:
        yield
        return
    device = f"dbb{os.getpid()}"
    link = SlowLink(device, shape, namespace)
    try:
        lay(Detour(device=device, table=TABLE, source=source, networks=(f"{target}/32",)), namespace)
        yield
    finally:
        remove(device, TABLE, namespace)
        link.close()


def connect_seconds(target: tuple[str, int]) -> list[float]:
    """How long each of so many connections takes."""
    found = []
    for _ in range(CONNECTIONS):
        began = time.monotonic()
        with socket.create_connection(target, timeout=10):
            found.append(time.monotonic() - began)
    return found


def bytes_per_second(target: tuple[str, int]) -> float:
    """How many bytes arrive a second."""
    sent, piece = 0, b"x" * (1 << 16)
    with socket.create_connection(target, timeout=60) as connection:
        began = time.monotonic()
        while time.monotonic() - began < SEND_SECONDS:
            sent += connection.send(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        return sent / (time.monotonic() - began)


def main() -> int:
    """All lines in turn."""
    directory = Path(tempfile.mkdtemp(prefix="dbre-bench-line-"))
    network = Network.create(directory)
    try:
        here, there = network.host("a"), network.host("b")
        listening = there.call(lambda: socket.create_server((there.address, PORT), backlog=512))
        threading.Thread(target=swallow, args=(listening,), daemon=True).start()
        found: dict[str, object] = {}
        is_late = True  # by the delay, and not by less
        for name, shape in SHAPES.items():
            with line(shape, here.address, there.address, network.namespace("a")):
                waits = here.call(lambda: connect_seconds((there.address, PORT)))
                rate = here.call(lambda: bytes_per_second((there.address, PORT)))
            median = quantile(waits, 0.5)
            is_late = is_late and (shape is None or median >= shape.delay_seconds)
            found[name] = f"p50 {median * 1e3:.2f} ms, p99 {quantile(waits, 0.99) * 1e3:.2f} ms, {rate / 1e6:.1f} MB/s"
        listening.close()
    finally:
        network.remove()
        shutil.rmtree(directory)
    return report({**found, "is_ok": is_late})


if __name__ == "__main__":
    sys.exit(main())
