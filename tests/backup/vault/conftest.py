"""Places for vaults besides a directory: a bucket of a server that speaks S3, a directory behind a real sshd."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from listening_kit import free_port, wait_for_port
from vault_kit import SshServer

from dbre.core.errors import Unsupported
from dbre.testing.fixtures import leave_out


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


@pytest.fixture
def rekeying_ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Likewise, with new session keys after each megabyte."""
    with _sshd(tmp_path_factory.mktemp("sshd"), settings="RekeyLimit 1M none\n") as server:
        yield server


@contextmanager
def _sshd(directory: Path, *before: str, settings: str = "") -> Iterator[SshServer]:
    binary = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(binary).exists():
        leave_out(Unsupported("no sshd on this machine", hint="apt: openssh-server"))
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user.pub", directory / "authorized")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    (directory / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {directory}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"Subsystem sftp internal-sftp\nMaxStartups 100\n{settings}"
    )
    log = (directory / "log").open("wb")
    process = subprocess.Popen([*before, binary, "-D", "-e", "-f", str(directory / "config")], stdout=log, stderr=log)
    try:
        wait_for_port(port, process)
        yield SshServer(directory=directory, port=port, pid=process.pid)
    finally:
        process.terminate()
        process.wait(30)
