"""A whole cluster: etcd, and nodes that Patroni runs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.lab.errors import LabError, ServerFailed
from dbre.lab.etcd import EtcdServer, start_together
from dbre.lab.patroni.program import PatroniProgram
from dbre.lab.patroni.server import NodeOptions, PatroniServer
from dbre.lab.server import Login
from dbre.lab.site import Site
from dbre.ports.lease_settings import PRESETS, LeaseSettings

__all__ = ["PatroniCluster"]

_SETTLE_SECONDS = 120.0


class PatroniCluster:
    """Nodes and their etcd. ``nodes[0]`` is the first that is made; who is primary later, Patroni decides."""

    def __init__(self, etcd: Sequence[EtcdServer], nodes: Sequence[PatroniServer]) -> None:
        self.etcd = tuple(etcd)
        self.nodes = tuple(nodes)

    @classmethod
    def at(
        cls,
        sites: Sequence[Site],
        etcd: Sequence[EtcdServer],
        *,
        names: Sequence[str],
        scope: str,
        binaries: PostgresBinaries,
        program: PatroniProgram,
        settings: Mapping[str, str] | None = None,
        watchdogs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "PatroniCluster":
        """A node of each name, one at each site; nothing is started. ``watchdogs`` are by the names of nodes."""
        nodes: list[PatroniServer] = []
        for name, site in zip(names, sites, strict=True):
            watchdog = (watchdogs or {}).get(name, {"mode": "off"})
            options = NodeOptions(scope=scope, etcd=etcd, watchdog=watchdog)
            first = nodes[0] if nodes else None
            nodes.append(
                PatroniServer(name, site, binaries=binaries, program=program, options=options, first=first, settings=settings)
            )
        return cls(etcd, nodes)

    @property
    def urls(self) -> tuple[str, ...]:
        """The REST APIs of all nodes."""
        return tuple(one.rest_url for one in self.nodes)

    async def start(self, settings: LeaseSettings = PRESETS["lan-fast"], *, logins: Sequence[Login] = ()) -> None:
        """Start etcd, make the first node, copy it to the others, and then set what was asked for. Raises: ServerFailed."""
        await start_together(self.etcd)
        for one in self.nodes:
            one.logins = tuple(logins)
        await self.nodes[0].start()
        others = await asyncio.gather(*(one.start() for one in self.nodes[1:]), return_exceptions=True)
        for result in others:
            if isinstance(result, BaseException):
                raise result
        await self.configure(settings.as_document())

    async def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the dynamic configuration, and wait until commits wait for whom they shall. Raises: ServerFailed, LabError."""
        await self.nodes[0].rest("PATCH", "/config", dict(changes))
        wanted = await self.nodes[0].rest("GET", "/config")
        if wanted.get("synchronous_mode") and len(self.nodes) > 1:
            await self._wait(lambda found: any(one["role"] in ("sync_standby", "quorum_standby") for one in found["members"]))

    async def wait_healthy(self, *, besides: str | None = None) -> PatroniServer:
        """The primary, once one leads and all other nodes stream on its timeline and may take over. Raises: LabError."""
        is_quorum = False

        def settled(found: Mapping[str, Any]) -> bool:
            members = found["members"]
            leaders = [one for one in members if one["role"] == "leader" and one["state"] == "running"]
            names = {one["name"] for one in members if one["state"] == "streaming"}
            timelines = {one.get("timeline") for one in members}
            others = {one.name for one in self.nodes} - {one["name"] for one in leaders}
            is_new = len(leaders) == 1 and leaders[0]["name"] != besides
            roles = {one["role"] for one in members if one["name"] in others}
            # One that has just come back streams before commits wait for it: until then it may not lead.
            is_joined = not is_quorum or roles <= {"quorum_standby"}
            return is_new and others <= names and len(timelines) == 1 and is_joined

        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            found = await self._wait(settled)
            leader = next(one["name"] for one in found["members"] if one["role"] == "leader")
            node = next(one for one in self.nodes if one.name == leader)
            # While its store is away Patroni tells what it remembers: who leads must say so itself.
            own = await node.rest("GET", "/patroni")
            if (own["role"], own["state"]) == ("primary", "running"):
                if is_quorum == ((await node.rest("GET", "/config")).get("synchronous_mode") == "quorum"):
                    return node
                is_quorum = not is_quorum
                continue
            if time.monotonic() > deadline:
                raise LabError(f"{node.name} leads, and is {own['role']}, {own['state']} after {_SETTLE_SECONDS:.0f} s")
            await asyncio.sleep(0.2)

    async def destroy(self) -> None:
        """Kill everything and remove it."""
        for one in (*self.nodes, *self.etcd):
            await one.destroy()

    async def _wait(self, fits: Any) -> Mapping[str, Any]:
        deadline = time.monotonic() + _SETTLE_SECONDS
        said: object = None
        while time.monotonic() < deadline:
            for one in self.nodes:
                if one.is_running and not one.is_frozen:
                    try:
                        found = said = await one.rest("GET", "/cluster")
                    except ServerFailed as error:
                        said = error
                        continue
                    if fits(found):
                        return dict(found)
                    break
            await asyncio.sleep(0.2)
        raise LabError(f"{self.nodes[0].options.scope} did not settle within {_SETTLE_SECONDS:.0f} s; last: {str(said)[:600]}")
