"""One cluster with its observers and its control plane, each where the network takes a path of its own."""

import asyncio
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from kit.dbre_command import answer, started
from kit.false_deaths.counts import Counts

from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Rules, weigh
from dbre.core.clock import SystemClock
from dbre.core.errors import StoreError
from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import Namespace
from dbre.core.store import open_store
from dbre.lab import Lab
from dbre.lab.free_port import choose_port
from dbre.lab.network.host import Host
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer

CLOCK = SystemClock()
OBSERVERS = ("watch-1", "watch-2", "watch-3")
RULES = Rules(observers=OBSERVERS, confirm_seconds=1.0, stale_seconds=3.0)  # as the configuration has them by default
OURS = ("ha.failover", "ha.release")
RECEIVER_SECONDS = 5  # after which a replica gives up a silent primary: the shorter, the sooner it is wrongly given up
LIMIT_SECONDS = 600.0  # other work may load the machine
LISTEN_SECONDS = 0.5
_LOG_CHARACTERS = 2000
HA = """\
      failover: {{auto: true, observers: [{names}], max_loss: 16MiB, block: 1s}}
"""


class Watched:
    """One cluster with its observers and its control plane."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.network = Network.open(lab.directory)
        self.watchers = {name: self.network.host(name) for name in OBSERVERS}
        self.counts = Counts()
        self.turn = "calm"  # what it suffers now
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sequence = 0
        self._store = f"sqlite:///{lab.directory / 'dbre.db'}"

    @property
    def hosts(self) -> Mapping[str, Host]:
        """Where its servers and observers are."""
        return self.network.hosts

    async def prepare(self) -> None:
        """Say who observes, and how the processes of servers are found and stopped."""
        for one in self.servers:
            async with await one.connect() as admin:
                await admin.execute(f"ALTER SYSTEM SET wal_receiver_timeout = '{RECEIVER_SECONDS}s'")
                await admin.execute("SELECT pg_reload_conf()")
        text = self.lab.config_file.read_text()
        rights = HA.format(names=", ".join(OBSERVERS))
        cluster = f"    - cluster: {self.lab.name}\n"
        text = text.replace(cluster, cluster + rights) if cluster in text else f"{text}ha:\n  clusters:\n{cluster}{rights}"
        for one in self.servers if self.lab.cluster is not None else ():
            entry = f"{{name: {one.name}, host: {one.address.host}, port: {one.address.port}}}"
            control = f"{{kind: commands, data_directory: {one.data_directory}, start: [/bin/false], stop: [/bin/false]}}"
            assert entry in text
            text = text.replace(entry, f"{entry[:-1]}, control: {control}}}")
        self.lab.config_file.write_text(f"{text}server:\n  port: {choose_port()}\n")

    @property
    def servers(self) -> list[PostgresServer]:
        """Its PostgreSQL servers."""
        return [one for one in self.lab.servers if isinstance(one, PostgresServer)]

    async def watch(self, stack: ExitStack) -> None:
        """Start the control plane and the observers, until the stack is closed; return when all of them hear the primary."""
        self._processes = [stack.enter_context(started(self.lab.config_file, ["server"]))]
        await self._until_there()
        for name, host in self.watchers.items():
            words = ["ha", "observe", "--as", name]
            self._processes.append(stack.enter_context(started(self.lab.config_file, words, namespace=host.namespace)))
        await self.until_healthy()

    async def _until_there(self) -> None:
        """Until the control plane has made the state store. Raises: TimeoutError, RuntimeError."""
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            self._see_alive()
            try:
                async with open_store(self._store, clock=CLOCK):
                    return
            except StoreError as error:
                if time.monotonic() > end:
                    raise TimeoutError(f"the control plane of {self.lab.name} has no state store: {error.message}") from error
            await asyncio.sleep(LISTEN_SECONDS)

    async def until_healthy(self) -> None:
        """Until every observer hears the primary, and nothing is wrong. Raises: TimeoutError, RuntimeError."""
        end = time.monotonic() + LIMIT_SECONDS
        async with open_store(self._store, clock=CLOCK) as store:
            listener = Listener(store, self.lab.name, CLOCK)
            while True:
                self._see_alive()
                found = weigh(await listener.hear(), RULES)
                if found.judgement.is_healthy and not found.notes:
                    return
                if time.monotonic() > end:
                    raise TimeoutError(f"the observers of {self.lab.name} do not agree: {found.judgement} {found.notes}")
                await asyncio.sleep(LISTEN_SECONDS)

    def _see_alive(self) -> None:
        for one in self._processes:
            if one.poll() is not None:
                words = " ".join(map(str, one.args)) if isinstance(one.args, list) else str(one.args)
                logs = [log.read_text(errors="replace")[-_LOG_CHARACTERS:] for log in self.lab.directory.glob("*.log")]
                raise RuntimeError(f"{words} ended with {one.returncode}: {logs}")

    async def listen(self) -> None:
        """Weigh the reports as the control plane does, and count; until cancelled."""
        async with open_store(self._store, clock=CLOCK) as store:
            listener = Listener(store, self.lab.name, CLOCK)
            while True:
                weighed = weigh(await listener.hear(), RULES)
                self.counts.take_weighing(weighed, OBSERVERS, turn=self.turn, at=CLOCK.now().isoformat())
                await asyncio.sleep(LISTEN_SECONDS)

    async def primary(self, *, besides: str | None = None) -> PostgresServer:
        """Who takes writes. Raises: TimeoutError."""
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            for one in self.servers:
                if one.name == besides:
                    continue
                if one.is_running and not await _is_replica(one):
                    return one
            await asyncio.sleep(0.2)
        raise TimeoutError(f"nobody takes writes in {self.lab.name}")

    async def look(self) -> None:
        """Count what was told since the last look. Where no answer comes in time, the next look sees what this one missed."""
        self._see_alive()
        try:
            events = await answer(self.lab.config_file, ["events", "list", "--kind", "ha.*", "--limit", "10000"])
            done = await answer(self.lab.config_file, ["op", "list", "--limit", "500"])
        except TimeoutError:
            self.counts.unanswered += 1
            return
        if events.code or done.code:
            self.counts.unanswered += 1
            return
        for event in sorted(events.items, key=lambda one: int(one["sequence"])):
            if event["sequence"] > self._sequence:
                self._sequence = event["sequence"]
                self.counts.take_event(event)
        self.counts.failovers = sum(one["operation"] in OURS for one in done.items)
        self.counts.fences = sum(_fences(host) for host in self.hosts.values())

    def starts(self) -> set[tuple[str, str]]:
        """Server processes, by their ids and when they were started."""
        return {(server.name, _first_line(server.data_directory / "postmaster.pid")) for server in self.servers}

    async def kill_and_see(self) -> dict[str, Any]:
        """Kill the primary: it has to be found dead, and replaced by us."""
        before = await answer(self.lab.config_file, ["op", "list", "--limit", "500"])
        old = await self.primary()
        begun = time.monotonic()
        await old.kill()
        new = await self.primary(besides=old.name)
        seconds = time.monotonic() - begun
        known = {one["id"] for one in before.items}
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            after = await answer(self.lab.config_file, ["op", "list", "--limit", "500"])
            ours = [one for one in after.items if one["id"] not in known and one["operation"] in OURS]
            if any(one["is_final"] for one in ours) or time.monotonic() > end:
                break
        states = [one["state"] for one in ours]
        return {"old": old.name, "new": new.name, "replaced_s": round(seconds, 2), "states": states}


async def _is_replica(server: PostgresServer) -> bool:
    try:
        async with asyncio.timeout(10), await server.connect() as admin:
            row = await (await admin.execute("SELECT pg_catalog.pg_is_in_recovery()")).fetchone()
            return row is None or bool(row[0])
    except (psycopg.Error, TimeoutError):
        return True


def _fences(host: Host) -> int:
    assert host.namespace is not None
    return command("nft", "list", "tables", namespace=Namespace.named(host.namespace)).count("dbre_fence_")


def _first_line(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0]
    except OSError:
        return ""
