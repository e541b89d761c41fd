"""Places for vaults: a directory, a bucket of a server that speaks S3, a directory behind a real sshd."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from vault_kit import SshServer

from dbre.core.errors import Unsupported
from dbre.testing.fixtures import leave_out


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        assert process.poll() is None, "the server ended"
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of moto, in a process of its own."""
    port = _free_port()
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def s3_client(s3_endpoint: str):
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    yield client
    client.close()


_SMALL = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A real sshd on loopback that knows one user: the one who runs the tests."""
    with _sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def full_ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Likewise, and no file of it grows beyond 1 MiB: writes fail there as they do on a disk that is full."""
    with _sshd(tmp_path_factory.mktemp("sshd"), sys.executable, "-c", _SMALL) as server:
        yield server


@contextmanager
def _sshd(directory: Path, *before: str) -> Iterator[SshServer]:
    binary = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(binary).exists():
        leave_out(Unsupported("no sshd on this machine", hint="apt: openssh-server"))
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user.pub", directory / "authorized")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    (directory / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {directory}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    log = (directory / "log").open("wb")
    process = subprocess.Popen([*before, binary, "-D", "-e", "-f", str(directory / "config")], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield SshServer(directory=directory, port=port)
    finally:
        process.terminate()
        process.wait(30)
