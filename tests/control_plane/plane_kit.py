"""What tests of a whole control plane need: databases to watch, a receiver to page, and the process to judge from outside."""

import asyncio
import os
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.demo.pager import Pager
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

Result = TypeVar("Result")


@dataclass
class HoldingPager(Pager):
    """Takes webhooks, and while it is held does not answer them."""

    released: threading.Event = field(default_factory=threading.Event)

    def accept(self, headers: dict[str, str], body: bytes) -> None:
        super().accept(headers, body)
        self.released.wait(60)


def cluster(directory: Path, server: PostgresServer, name: str = "orders", **changes: object) -> dict[str, object]:
    """The document of a cluster of one server."""
    password = directory / f"{name}-password"
    write_private(password, server.password.reveal())
    return {
        "name": name,
        "engine": "postgresql",
        "user": server.superuser,
        "password": f"file:{password}",
        "tls": "disable",
        "instances": [{"name": f"{name}-1", "host": server.address.host, "port": server.address.port}],
        **changes,
    }


def unreachable(name: str, port: int) -> dict[str, object]:
    """The document of a cluster on a port of loopback, whatever listens there."""
    return {"name": name, "engine": "postgresql", "instances": [{"name": f"{name}-1", "host": "127.0.0.1", "port": port}]}


def configuration(
    clusters: Iterable[Mapping[str, object]], *, pager: Pager | None = None, directory: Path, port: int = 0
) -> dict:
    """A probe a second, a page after two that fail, resolved some ten seconds after the last."""
    document: dict[str, Any] = {
        "fleet": {"clusters": list(clusters)},
        "probe": {"interval": "1s", "connect_timeout": "900ms", "statement_timeout": "900ms", "total_timeout": "900ms"},
        "slos": [
            {
                "name": "writes",
                "selector": {"environment": "default"},
                "sli": {"kind": "availability", "purpose": "write"},
                "target": "99.9%",
                "window": {"rolling": "30d"},
                "alerts": [{"severity": "page", "long": "1m", "factor": 30, "keep_firing": "1s", "name": "fast"}],
                "policies": {"low_traffic_guard": False},
            }
        ],
        "alerting": {"evaluation_interval": "200ms"},
    }
    if pager is not None:
        secret = directory / "hook-secret"
        write_private(secret, pager.secret.reveal())
        url = pager.url if not port else f"http://127.0.0.1:{port}/page"
        document["receivers"] = [{"name": "pager", "url": url, "secret": f"file:{secret}", "allow_loopback": True}]
    return document


def new_secret() -> Secret:
    return Secret(secrets.token_urlsafe(32))


def fired(pager: Pager) -> set[str]:
    """Distinct ids of webhooks that say that an alert fired."""
    return {one.webhook_id for one in pager.deliveries if one.kind == "slo.alert_fired"}


def resolved(pager: Pager) -> set[str]:
    return {one.webhook_id for one in pager.deliveries if one.kind == "slo.alert_resolved"}


async def until(look: Callable[[], Result | Awaitable[Result]], *, seconds: float = 40, what: str = "") -> Result:
    """Look until there is something to see."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = look()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what or look}") from None


async def get(plane: ControlPlaneProcess, path: str) -> Any:
    async with plane.client() as client:
        return (await client.get(path)).raise_for_status().json()


async def slo(plane: ControlPlaneProcess, name: str = "orders") -> dict[str, Any]:
    """The state of the SLO on one cluster."""
    return next(one for one in (await get(plane, "/api/v1/slos"))["items"] if one["cluster"] == name)


async def events(plane: ControlPlaneProcess, kind: str) -> list[dict[str, Any]]:
    """All events of a kind, oldest first."""
    return list(reversed((await get(plane, f"/api/v1/events?limit=500&kind={kind}"))["items"]))


async def metric(plane: ControlPlaneProcess, line_start: str) -> float | None:
    """The value of the sample whose line begins so."""
    async with plane.client() as client:
        text = (await client.get("/metrics")).raise_for_status().text
    found = re.search(rf"^{re.escape(line_start)}\S* (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str


async def run(*command: str, cwd: Path | None = None, seconds: float = 60, **environment: str) -> Ended:
    """Run a command to its end; one that goes on is killed, and that is an error."""
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            output, errors = await child.communicate()
    except TimeoutError:
        child.kill()
        output, errors = await child.communicate()
        raise AssertionError(f"{command} still runs after {seconds:g} s: {errors.decode()}") from None
    assert child.returncode is not None
    return Ended(child.returncode, output.decode(), errors.decode())


def write_configuration(directory: Path, document: Mapping[str, object]) -> ControlPlaneProcess:
    """A control plane that is not started, with its files in place."""
    plane = ControlPlaneProcess(directory, dict(document), port=choose_port())
    plane._write_files()
    return plane


async def answers(plane: ControlPlaneProcess, path: str) -> httpx.Response | None:
    """What a path answers now; None where nobody listens."""
    try:
        async with plane.client() as client:
            return await client.get(path)
    except httpx.TransportError:
        return None
