"""Pytest fixtures of Prometheus and Alertmanager."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.lab.alertmanager import AlertmanagerServer, find_alertmanager
from dbre.lab.programs import ServerProgram
from dbre.lab.prometheus import PrometheusServer, find_prometheus
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running
from dbre.tools.promtool import NoChecker, find_tool

__all__ = ["alertmanager", "prometheus", "require_tool"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prometheus(lab_site: Site) -> AsyncIterator[PrometheusServer]:
    """Prometheus, from the distribution; shared by all tests of a worker, so ``configure`` it for yours."""
    program = installed(lambda: find_prometheus(account=lab_site.account))
    async with running(PrometheusServer("prometheus", lab_site, program=program)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alertmanager(lab_site: Site) -> AsyncIterator[AlertmanagerServer]:
    """Alertmanager, from the distribution; shared by all tests of a worker, so ``configure`` it for yours."""
    program = installed(lambda: find_alertmanager(account=lab_site.account))
    async with running(AlertmanagerServer("alertmanager", lab_site, program=program)) as server:
        yield server


def require_tool(name: str) -> None:
    """Skip the test where a program is not installed, or fail it where all are required."""
    installed(lambda: _found(name))


def _found(name: str) -> ServerProgram:
    path = find_tool(name)
    if path is None:
        raise NoChecker(f"no {name} here", hint="install it: scripts/install-test-servers")
    return ServerProgram(path=path, version=())
