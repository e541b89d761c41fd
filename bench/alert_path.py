"""From a frozen primary to the page: how long until the signed webhook has arrived.

A real `dbre server` with its default evaluation interval probes clusters once a second, each on a PostgreSQL server of its own
that is frozen at a random moment, so that freezes meet the evaluation in every phase. Several SLOs watch each cluster; a page
needs two failed probes. Measured is from the freeze, before any probe could know, to the webhook at the receiver. Passes if p99
is below 15 s and each SLO of each cluster paged once.

Usage: python bench/alert_path.py [CLUSTERS [SLOS]]
"""

import asyncio
import random
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.report import report
from kit.two_servers import quantile

from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.demo.pager import Pager
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site

LIMIT_SECONDS, SPREAD_SECONDS, SETTLE_SECONDS, PATIENCE_SECONDS = 15.0, 20.0, 12.0, 30
ALERT = {"severity": "page", "long": "1m", "factor": 30, "name": "fast"}


def cluster_on(server: PostgresServer, directory: Path) -> dict[str, Any]:
    """The document of a cluster of one server."""
    password = directory / f"{server.name}-password"
    write_private(password, server.password.reveal())
    where = {"host": server.address.host, "port": server.address.port}
    access = {"engine": "postgresql", "user": server.superuser, "password": f"file:{password}", "tls": "disable"}
    return {"name": server.name, **access, "instances": [{"name": server.name, **where}]}


def slo(name: str) -> dict[str, Any]:
    """Of all clusters: a page after two probes that fail."""
    return {
        "name": name,
        "selector": {"environment": "default"},
        "sli": {"kind": "availability", "purpose": "write"},
        "target": "99.9%",
        "window": {"rolling": "30d"},
        "alerts": [ALERT],
        "policies": {"low_traffic_guard": False},
    }


def configuration(servers: list[PostgresServer], slos: int, pager: Pager, directory: Path) -> dict[str, object]:
    """Probes each second; everything else as it is by default."""
    secret = directory / "hook-secret"
    write_private(secret, pager.secret.reveal())
    timeouts = dict.fromkeys(("connect_timeout", "statement_timeout", "total_timeout"), "900ms")
    return {
        "fleet": {"clusters": [cluster_on(one, directory) for one in servers]},
        "probe": {"interval": "1s", **timeouts},
        "slos": [slo(f"writes-{number}") for number in range(slos)],
        "receivers": [{"name": "pager", "url": pager.url, "secret": f"file:{secret}", "allow_loopback": True}],
    }


async def freeze_later(server: PostgresServer, seconds: float) -> datetime:
    """Freeze it then; returns when that was."""
    await asyncio.sleep(seconds)
    begun = datetime.now(UTC)
    await server.freeze()
    return begun


async def measure(servers: list[PostgresServer], slos: int, directory: Path) -> list[float]:
    """Seconds from the freeze to each page."""
    with Pager(Secret(secrets.token_urlsafe(32))) as pager:
        plane = ControlPlaneProcess(directory, configuration(servers, slos, pager, directory))
        await plane.start()
        try:
            await asyncio.sleep(SETTLE_SECONDS)  # a slot of good answers, so that a freeze is a change
            chance = random.Random(4)
            frozen = await asyncio.gather(*(freeze_later(one, chance.uniform(0, SPREAD_SECONDS)) for one in servers))
            for _ in range(PATIENCE_SECONDS):
                if len(pager.pages()) >= len(servers) * slos:
                    break
                await asyncio.sleep(1)
        finally:
            for one in servers:
                await one.thaw()
            await plane.stop()
    begun = {server.name: moment for server, moment in zip(servers, frozen, strict=True)}
    return [(page.received_at - begun[str(page.data["cluster"])]).total_seconds() for page in pager.pages()]


async def main() -> int:
    """Start, freeze, wait; print the numbers as JSON."""
    clusters, slos = (int(sys.argv[index]) if len(sys.argv) > index else default for index, default in ((1, 8), (2, 5)))
    with temporary_site(prefix="dbre-bench-") as site, tempfile.TemporaryDirectory(prefix="dbre-bench-") as place:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        servers = [PostgresServer(f"s{number}", site, binaries=binaries) for number in range(clusters)]
        for one in servers:
            await one.start()
        seconds = await measure(servers, slos, Path(place))
    numbers = {f"p{percent}_seconds": round(quantile(seconds, percent / 100), 2) for percent in (50, 99)} if seconds else {}
    is_whole = len(seconds) == clusters * slos and min(seconds) > 0
    return report(
        {
            "freezes": clusters,
            "pages": len(seconds),
            **numbers,
            "largest_seconds": round(max(seconds), 2) if seconds else None,
            "is_ok": is_whole and quantile(seconds, 0.99) < LIMIT_SECONDS,
        }
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
