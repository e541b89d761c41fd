"""A bucket of moto on this machine that is made as slow as one that is far away: each connection has its own rate and delay."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.vault.s3 import S3Storage
from dbre.capabilities.backup.vault.storage import Pace
from dbre.core.secrets import SecretReference

__all__ = ["DELAY_SECONDS", "STREAM_BYTES_A_SECOND", "far_bucket", "slowed"]

DELAY_SECONDS = 0.1
STREAM_BYTES_A_SECOND = 40_000_000
"""What one stream of a service of objects gives is limited; what all of them give together is limited by the network."""
_START_SECONDS = 60.0


@contextmanager
def far_bucket(root: Path, document: VaultDocument) -> Iterator[VaultDocument]:
    """The document of a vault in a bucket of a server that runs meanwhile."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    endpoint = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port)
            boto3.client(
                "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
            ).create_bucket(Bucket="far")
            path = root / "s3.secret"
            path.write_text("s")
            path.chmod(0o600)
            secret = SecretReference.parse(f"file:{path}")
            given = {
                "name": "far",
                "kind": "s3",
                "path": "",
                "bucket": "far",
                "endpoint": endpoint,
                "access_key": secret,
                "secret_key": secret,
            }
            yield document.model_copy(update=given)
        finally:
            server.terminate()


def _wait(port: int) -> None:
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"moto does not answer on port {port}")


@contextmanager
def slowed() -> Iterator[None]:
    """Let every fetch begin late and keep to the rate of its own stream."""
    get = S3Storage.get

    def far(self: S3Storage, key: str, into: Path, *, version_id: str | None, limit: int, pace: Pace) -> None:
        time.sleep(DELAY_SECONDS)
        began, done = time.monotonic(), 0

        def own_pace(count: int) -> None:
            nonlocal done
            done += count
            time.sleep(max(0.0, began + done / STREAM_BYTES_A_SECOND - time.monotonic()))
            pace(count)

        get(self, key, into, version_id=version_id, limit=limit, pace=own_pace)

    S3Storage.get = far  # type: ignore[method-assign]
    try:
        yield
    finally:
        S3Storage.get = get  # type: ignore[method-assign]
