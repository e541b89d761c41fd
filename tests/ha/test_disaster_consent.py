"""Who loses a site decides with somebody else: two people with tokens of their own, by the command line and by the API."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from rejoin_kit import forkable

from dbre.core.errors import ExitCode
from dbre.core.identity.tokens import make_token, token_hash
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(600)]

ROLES = {"alice": "admin", "bob": "admin", "eve": "viewer"}


@dataclass(kw_only=True)
class Office:
    """A control plane over two sites, and who may do what there."""

    plane: ControlPlaneProcess
    pair: PostgresPair
    tokens: dict[str, str]
    directory: Path

    async def command(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """As a person types it on a machine that has only the address of the control plane and the token."""
        line = self.plane.command(*words)
        line[line.index("--config") + 1] = str(self.directory / "client.yaml")
        given = {**os.environ, "DBRE_SERVER": self.plane.url, "DBRE_TOKEN": self.tokens[who]}
        return await asyncio.to_thread(
            subprocess.run, line, env=given, capture_output=True, text=True, cwd=self.directory, check=False, timeout=120
        )

    def client(self, who: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        return httpx.AsyncClient(base_url=self.plane.url, headers=headers, timeout=60, trust_env=False)

    async def until(self, identifier: str, *states: str) -> dict[str, Any]:
        async with self.client("eve") as client, asyncio.timeout(120):
            while True:
                found = dict((await client.get(f"/api/v1/operations/{identifier}")).json())
                if found["state"] in states:
                    return found
                assert found["state"] not in ("failed", "compensated", "needs_operator"), found["error"]
                await asyncio.sleep(0.2)


@pytest.fixture
async def office(lab_site: Site, tmp_path: Path) -> AsyncIterator[Office]:
    tokens = {name: make_token() for name in ROLES}
    async with forkable(lab_site, "drtwo") as pair:
        plane = ControlPlaneProcess(tmp_path, configuration(pair, tmp_path, {name: token_hash(tokens[name]) for name in ROLES}))
        (tmp_path / "client.yaml").write_text("{}\n")
        await plane.start()
        try:
            words = {name: one.reveal() for name, one in tokens.items()}
            yield Office(plane=plane, pair=pair, tokens=words, directory=tmp_path)
        finally:
            await plane.stop()


def configuration(pair: PostgresPair, directory: Path, hashes: dict[str, str]) -> dict[str, object]:
    password = directory / "password"
    password.touch(mode=0o600)
    password.write_text(pair.primary.password.reveal())
    servers = {"orders-1": pair.primary, "orders-2": pair.replica}
    cluster = {
        "name": "orders",
        "environment": "production",
        "engine": "postgresql",
        "user": pair.primary.superuser,
        "password": f"file:{password}",
        "instances": [
            {
                "name": name,
                "host": one.address.host,
                "port": one.address.port,
                "control": {"kind": "pg_ctl", "data_directory": str(one.data_directory)},
            }
            for name, one in servers.items()
        ],
    }
    plan = {
        "sites": [{"name": "east", "instances": ["orders-1"]}, {"name": "west", "instances": ["orders-2"]}],
        "objectives": {"rpo": "10s", "rto": "2m"},
        "checks": {"count": 3, "latency": "30s"},
    }
    people = [{"name": name, "tokens": [{"hash": hashes[name]}], "grants": [{"role": role}]} for name, role in ROLES.items()]
    return {
        "fleet": {"clusters": [cluster]},
        "ha": {"clusters": [{"cluster": "orders", "disaster": plan}]},
        "access": {"principals": people},
    }


async def test_one_asks_and_another_consents_by_either_door(office: Office) -> None:
    asked = await office.command("alice", "ha", "dr", "switch", "orders", "--yes", "--no-wait", "-o", "json")
    assert asked.returncode in (ExitCode.OK, ExitCode.PENDING), asked.stderr
    identifier = json.loads(asked.stdout)["item"]["id"]
    await office.until(identifier, "awaiting_approval")
    herself = await office.command("alice", "op", "approve", identifier)
    assert herself.returncode == ExitCode.DENIED, herself.stderr
    async with office.client("eve") as eve, office.client("bob") as bob:
        assert (await eve.post(f"/api/v1/operations/{identifier}/approve", json={})).status_code == 403
        assert await office.pair.replica.role() is Role.REPLICA
        consent = await bob.post(f"/api/v1/operations/{identifier}/approve", json={})
        assert consent.is_success, consent.text
        await office.until(identifier, "succeeded")
        assert await office.pair.replica.role() is Role.PRIMARY

        body = {"kind": "ha.dr_failback", "input": {"cluster": "orders"}}
        back = await bob.post("/api/v1/operations", json=body)
        assert back.status_code == 202, back.text
        identifier = str(back.json()["id"])
        await office.until(identifier, "awaiting_approval")
        assert (await bob.post(f"/api/v1/operations/{identifier}/approve", json={})).status_code == 403
    consent_ = await office.command("alice", "op", "approve", identifier)
    assert consent_.returncode == 0, consent_.stderr
    done = await office.until(identifier, "succeeded")
    assert [one["approver"] for one in done["approvals"]] == ["alice"]
    assert await office.pair.primary.role() is Role.PRIMARY
