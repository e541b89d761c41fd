"""One real control plane for all tests of its web side: a PostgreSQL with markup in its labels, and one that is not there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeout

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer
from dbre.testing.browser import CHROMIUM_FLAGS, find_chromium

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
        "probe": {"interval": "2s", "connect_timeout": "1900ms", "statement_timeout": "1900ms", "total_timeout": "1900ms"},
        "slos": [
            {
                "name": "writes",
                "description": f"Orders can be placed {MARKUP}",
                "selector": {"environment": "test"},
                "sli": {"kind": "availability", "purpose": "write"},
                "target": "99.99%",
                "window": {"rolling": "30d"},
                "budget_alerts": [{"severity": "ticket", "remaining": "10%"}],
            },
            {
                "name": "reads",
                "selector": {"cluster": "orders"},
                "sli": {"kind": "availability", "purpose": "read"},
                "target": "99%",
                "window": {"rolling": "30d"},
            },
        ],
        "slo_composites": [{"name": "shop", "join": "journey", "of": [{"slo": "writes"}, {"slo": "reads"}]}],
        "alerting": {"evaluation_interval": "1s"},
        "stack": [
            {
                "name": "metrics",
                "kind": "prometheus",
                "url": f"http://127.0.0.1:{choose_port()}",
                "interval": "5s",
                "timeout": "2s",
            }
        ],
        "contacts": [{"name": "ann"}, {"name": "bob"}],
        "oncall": {
            "schedules": [
                {
                    "name": "databases",
                    "time_zone": "Europe/Madrid",
                    "layers": [{"name": "primary", "people": ["ann", "bob", MARKUP[1:7]], "starts": "2026-01-05T09:00"}],
                }
            ],
            "policies": [{"name": "all", "levels": [{"schedules": ["databases"]}]}],
        },
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(
    postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlaneProcess]:
    """The control plane, after its first probes."""
    async with running_plane(postgres18, tmp_path_factory) as process:
        yield process


@pytest_asyncio.fixture
async def other_control_plane(
    postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlaneProcess]:
    """One for a test after which nobody wants to use it."""
    async with running_plane(postgres18, tmp_path_factory) as process:
        yield process


@asynccontextmanager
async def running_plane(
    postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlaneProcess]:
    directory = tmp_path_factory.mktemp("control-plane")
    process = ControlPlaneProcess(directory, configuration(postgres18, directory))
    await process.start()
    async with process.client() as client, asyncio.timeout(60):  # the cluster that is gone pages, and opens an incident
        while "gone" not in await incident_clusters(client):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    yield process
    await process.stop()


async def incident_clusters(client: httpx.AsyncClient) -> set[str]:
    return {one["cluster"] for one in (await client.get("/api/v1/incidents")).raise_for_status().json()["items"]}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, for all tests of pages."""
    program = find_chromium()
    async with async_playwright() as playwright:
        started = await _launched(playwright, program)
        yield started
        await started.close()


async def _launched(playwright: Playwright, program: str) -> Browser:
    """A browser; one that hangs while it starts, as Chromium does now and then on a busy machine, is started again."""
    for timeout in (30_000, 30_000):
        try:
            return await playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS), timeout=timeout)
        except PlaywrightTimeout:
            continue
    return await playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS))
