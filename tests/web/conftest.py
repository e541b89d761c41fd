"""One real control plane for all tests of its web side: a PostgreSQL with markup in its labels, and one that is not there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

MARKUP = "<script>alert(1)</script>"


def configuration(server: PostgresServer, directory: Path) -> dict[str, object]:
    password = directory / "password"
    password.write_text(server.password.reveal())
    password.chmod(0o600)
    shared = {"environment": "test", "engine": "postgresql", "user": server.superuser, "password": f"file:{password}"}
    alive = {"host": server.address.host, "port": server.address.port}
    return {
        "fleet": {
            "clusters": [
                shared | {"name": "orders", "labels": {"team": "checkout"}, "instances": [alive | {"name": "orders-1"}]},
                shared | {"name": "gone", "instances": [{"name": "gone-1", "host": "127.0.0.1", "port": choose_port()}]},
            ]
        },
        "probe": {"interval": "500ms", "connect_timeout": "300ms", "statement_timeout": "300ms", "total_timeout": "400ms"},
        "slos": [
            {
                "name": "writes",
                "description": f"Orders can be placed {MARKUP}",
                "selector": {"environment": "test"},
                "sli": {"kind": "availability", "purpose": "write"},
                "target": "99.99%",
                "window": {"rolling": "30d"},
            }
        ],
        "alerting": {"evaluation_interval": "1s"},
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(
    postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlaneProcess]:
    """The control plane, after its first probes."""
    directory = tmp_path_factory.mktemp("control-plane")
    process = ControlPlaneProcess(directory, configuration(postgres18, directory))
    await process.start()
    yield process
    await process.stop()
