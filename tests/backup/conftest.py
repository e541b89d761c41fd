"""Makes the kits of this directory importable by the tests below it, and gives them a server that speaks S3."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from listening_kit import free_port, wait_for_port


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of moto, in a process of its own; or the one that ``scripts/test-s3`` names."""
    if given := os.environ.get("DBRE_TEST_S3"):
        yield given
        return
    port = free_port()
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
