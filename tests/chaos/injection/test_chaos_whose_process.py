"""Which process is a server's: the one that the kernel would connect a client to, and no other at the same port."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dbre.capabilities.chaos.injection.local_process import is_listening, listeners, main_process
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address

_PROGRAM = """
import socket, sys
kind = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(kind, socket.SOCK_STREAM) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if kind == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[1] != "::"))
    listening.bind((sys.argv[1], int(sys.argv[2])))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@contextmanager
def server(host: str, port: int = 0) -> Iterator[tuple[int, int]]:
    """A process that listens there: its pid and its port."""
    words = [sys.executable, "-P", "-c", _PROGRAM, host, str(port)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.stdin.close()


def test_an_older_server_at_another_address_is_another_one() -> None:
    with server("127.0.0.2") as (older, port), server("127.0.0.3", port) as (younger, _):
        assert main_process(Address("127.0.0.2", port)).pid == older
        assert main_process(Address("127.0.0.3", port)).pid == younger
        assert {one.pid for one in listeners(port)} == {older, younger}
        assert not is_listening(Address("127.0.0.4", port))
        with pytest.raises(PrecheckFailed, match="nobody listens"):
            main_process(Address("127.0.0.4", port))


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_one_that_listens_everywhere_is_found_at_each_address(everywhere: str) -> None:
    try:
        with server(everywhere) as (pid, port):
            assert main_process(Address("127.0.0.5", port)).pid == pid
            assert is_listening(Address("127.0.0.5", port))
    except ValueError:  # it printed no port
        pytest.skip("this machine has no such addresses")
