"""Servers of tests that are started as processes: a port for them, and waiting until they answer."""

import socket
import subprocess
import time


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens; at most 90 s."""
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        assert process.poll() is None, "the server ended"
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)
