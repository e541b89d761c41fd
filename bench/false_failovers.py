"""Whether anything that only looks like a dead primary is taken for one, and whether a dead one is still found.

Run as root: ``.venv/bin/python bench/false_failovers.py [MINUTES]`` (default 60). Two clusters, each of a primary and two
replicas in network namespaces of their own: one that dbre alone fails over (``failover: auto``), one that Patroni runs and dbre
releases. Each has a control plane and three ``dbre ha observe``, each in a namespace of its own. For MINUTES they suffer, in
turns: 30 % of all packets are lost; each packet is up to 500 ms late; twice as many processes want a CPU as there are; every
connection of the primary is taken (53300); and all of it at once. Nothing of that is a dead primary: verdicts of death,
failovers, fences, restarted servers and false findings are counted, and all of them have to be 0. Patroni may move its
own leader: its lease is no business of ours. In the end the machine is left alone, each primary is killed, and has to be
replaced.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from kit.dbre_command import answer, started
from kit.report import report

from dbre.capabilities.ha.detection.doubts import LATELY_SECONDS
from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Rules, weigh
from dbre.core.clock import SystemClock
from dbre.core.errors import StoreError
from dbre.core.packets.commands import command
from dbre.core.packets.cutting import Cut, Direction, cut, mend
from dbre.core.packets.detour import Detour, lay, remove
from dbre.core.packets.line import Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.slow_link import SlowLink
from dbre.core.store import open_store
from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.free_port import choose_port
from dbre.lab.network.host import Host
from dbre.lab.network.network import Network
from dbre.lab.patroni.server import PatroniServer
from dbre.lab.postgres import PostgresServer

CLOCK = SystemClock()
OBSERVERS = ("watch-1", "watch-2", "watch-3")
RULES = Rules(observers=OBSERVERS, confirm_seconds=1.0, stale_seconds=3.0)  # as the configuration has them by default
LOSS_PERCENT = 30
LATE = Shape(delay_seconds=0.25, jitter_seconds=0.25)  # 0 to 500 ms, each way
RECEIVER_SECONDS = 5  # after which a replica gives up a silent primary: the shorter, the sooner it is wrongly given up
LONGEST_TURN_SECONDS = 120.0
LIMIT_SECONDS = 600.0  # other work may load the machine
LISTEN_SECONDS = 0.5
CALM_SECONDS = LATELY_SECONDS + 10  # before the control: observers that took the living for dead wait longer for so long
DEATH = ("dead_primary", "dead_primary_and_some_replicas", "dead_primary_without_replicas", "dual_primary")
FALSE = ("ha.dual_primary", "ha.foreign_system", "ha.cloned_identity", "ha.same_server_twice", "ha.writable_replica")
"""Findings that are wrong whatever is slow; what cannot be reached is rightly told as such."""
HA = """\
      failover: {{auto: true, observers: [{names}], max_loss: 16MiB, block: 1s}}
"""


@dataclass(slots=True)
class Counts:
    """What was taken for what it is not."""

    verdicts: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)
    failovers: int = 0
    refused: int = 0
    fences: int = 0
    restarts: int = 0
    statuses: int = 0
    looks: int = 0  # at the reports, twice a second
    heard: int = 0  # of these, with a majority of the observers that could have decided


class Watched:
    """One cluster with its observers and its control plane."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.network = Network.open(lab.directory)
        self.watchers = {name: self.network.host(name) for name in OBSERVERS}
        self.counts = Counts()
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
        dead = [str(one.args) for one in self._processes if one.poll() is not None]
        if dead:
            raise RuntimeError(f"{', '.join(dead)} ended; see the logs in {self.lab.directory}")

    async def listen(self) -> None:
        """Weigh the reports as the control plane does, and count; until cancelled."""
        async with open_store(self._store, clock=CLOCK) as store:
            listener = Listener(store, self.lab.name, CLOCK)
            while True:
                weighed = weigh(await listener.hear(), RULES)
                self.counts.looks += 1
                self.counts.heard += 2 * len(weighed.reports) > len(OBSERVERS)
                if set(DEATH) & {one.value for one in weighed.judgement.verdicts}:
                    self.counts.deaths.append(f"{CLOCK.now().isoformat()} heard: {weighed.contacts} {weighed.notes}")
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
        """Count what is told of the cluster now, and what happened since the last look."""
        self._see_alive()
        found = await answer(self.lab.config_file, ["ha", "status", self.lab.name])
        self.counts.statuses += found.code in (0, 3)
        for rule in _findings(found.items):
            self.counts.findings[rule] += 1
        events = await answer(self.lab.config_file, ["events", "list", "--kind", "ha.*", "--limit", "10000"])
        for event in sorted(events.items, key=lambda one: int(one["sequence"])):
            if event["sequence"] > self._sequence:
                self._sequence = event["sequence"]
                self._count(event)
        done = await answer(self.lab.config_file, ["op", "list", "--limit", "500"])
        ours = [one for one in done.items if one["operation"] in ("ha.failover", "ha.release")]
        self.counts.failovers = len(ours)
        self.counts.fences = sum(_fences(host) for host in self.hosts.values())

    def _count(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if event["kind"] == "ha.failover_refused":
            self.counts.refused += 1
            self.counts.deaths.append(f"{event['at']} refused: {data.get('why')}")
        for verdict in data.get("verdicts", ()):
            self.counts.verdicts[verdict] += 1
            if verdict in DEATH:
                self.counts.deaths.append(f"{event['at']} {verdict}: {data['observers']} {data['notes']}")

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
            ours = [one for one in after.items if one["id"] not in known and one["operation"] in ("ha.failover", "ha.release")]
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


def _findings(items: list[dict[str, Any]]) -> Iterator[str]:
    for one in items:
        for found in one.get("findings", ()):
            yield str(found["rule"])


def _fences(host: Host) -> int:
    assert host.namespace is not None
    return command("nft", "list", "tables", namespace=Namespace.named(host.namespace)).count("dbre_fence_")


@contextmanager
def losing(clusters: list[Watched]) -> Iterator[None]:
    """Every packet between two hosts, or to and from this machine, is lost with the same chance, once on its way."""
    table = f"bench_loss_{os.getpid()}"
    with ExitStack() as stack:
        for one in clusters:
            machine = (f"{one.network.gateway}/32",)
            for host in one.hosts.values():
                assert host.namespace is not None
                inside = Namespace.named(host.namespace)
                for name, given in (
                    (table, Cut(direction=Direction.IN, percent=LOSS_PERCENT)),
                    (f"{table}_out", Cut(direction=Direction.OUT, peers=machine, percent=LOSS_PERCENT)),
                ):
                    cut(given, name, inside)
                    stack.callback(mend, name, inside)
        yield


@contextmanager
def late(clusters: list[Watched]) -> Iterator[None]:
    """Every packet between two hosts is late, and so is what comes from them to this machine."""
    with ExitStack() as stack:
        number = 0
        for one in clusters:
            for host in one.hosts.values():
                assert host.namespace is not None
                number += 1
                inside, device = Namespace.named(host.namespace), f"bl{os.getpid()}-{number}"[-14:]
                link = SlowLink(device, LATE, inside, seed=number)
                stack.callback(link.close)
                others = tuple(f"{other.address}/32" for other in one.hosts.values() if other != host)
                peers = (*others, f"{one.network.gateway}/32")
                lay(Detour(device=device, table=40_000 + number, source=host.address, networks=peers), inside)
                stack.callback(remove, device, 40_000 + number, inside)
        yield


@contextmanager
def starving(_: list[Watched]) -> Iterator[None]:
    """Twice as many processes that want a CPU as there are CPUs."""
    words = ["nice", "-n", str(-os.nice(0)), sys.executable, "-c", "while True: pass"]  # at nice 0, wherever we are
    hogs = [subprocess.Popen(words, start_new_session=True) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for one in hogs:
            one.kill()
            one.wait()


@asynccontextmanager
async def exhausted(clusters: list[Watched]) -> AsyncIterator[None]:
    """Every connection of each primary that is not reserved is taken, again and again."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_take_all(one)) for one in clusters]
        try:
            yield
        finally:
            for one in tasks:
                one.cancel()


async def _take_all(one: Watched) -> None:
    target = one.lab.load_target()
    assert target.password is not None
    taken: list[psycopg.AsyncConnection[Any]] = []
    try:
        while True:
            primary = await one.primary()
            try:
                taken.append(
                    await psycopg.AsyncConnection.connect(
                        host=primary.address.host,
                        port=primary.address.port,
                        user=target.user,
                        password=target.password.reveal(),
                        dbname=str(target.database),
                        sslmode="disable",
                        connect_timeout=10,
                    )
                )
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)
    finally:
        for connection in taken:
            connection.pgconn.finish()


TURNS: Mapping[str, tuple[Callable[[list[Watched]], Any], ...]] = {
    "loss": (losing,),
    "jitter": (late,),
    "cpu": (starving,),
    "connections": (exhausted,),
    "together": (losing, late, starving, exhausted),
}


async def suffer(clusters: list[Watched], minutes: float) -> dict[str, float]:
    """All turns, one after the other, until the time is over; how long each was on."""
    end = time.monotonic() + minutes * 60
    turn = min(LONGEST_TURN_SECONDS, minutes * 60 / len(TURNS))
    lasted: dict[str, float] = dict.fromkeys(TURNS, 0.0)
    while time.monotonic() < end - 1:
        for name, faults in TURNS.items():
            begun = time.monotonic()
            async with AsyncExitStack() as stack:
                for fault in faults:
                    found = fault(clusters)
                    if hasattr(found, "__aenter__"):
                        await stack.enter_async_context(found)
                    else:
                        stack.enter_context(found)
                await asyncio.sleep(max(0.0, min(begun + turn, end) - time.monotonic()))
                for one in clusters:
                    await one.look()
            lasted[name] += time.monotonic() - begun
            print(f"{name}: {time.monotonic() - begun:.0f} s, {told(clusters)}", file=sys.stderr, flush=True)
    return lasted


def told(clusters: list[Watched]) -> str:
    """What was counted until now, in a line."""
    return "; ".join(
        f"{one.lab.name}: {dict(one.counts.verdicts)}, {one.counts.failovers} failovers, {len(one.counts.deaths)} deaths"
        for one in clusters
    )


async def main() -> int:
    """Both clusters side by side."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    name, begun = f"bench-ff-{os.getpid()}", time.monotonic()
    async with AsyncExitStack() as stack:
        specs = [
            LabSpec(name=f"{name}{kind}", engine=LabEngine.POSTGRESQL, replicas=2, patroni=patroni, network=True)
            for kind, patroni in (("n", None), ("p", "lan-fast"))
        ]
        labs = await asyncio.gather(*(Lab.create(one) for one in specs), return_exceptions=True)
        for lab in labs:
            if isinstance(lab, Lab):
                stack.push_async_callback(lab.down)
        for lab in labs:
            if isinstance(lab, BaseException):
                raise lab
        clusters = [Watched(one) for one in labs if isinstance(one, Lab)]
        with ExitStack() as processes:
            await asyncio.gather(*(one.prepare() for one in clusters))
            await asyncio.gather(*(one.watch(processes) for one in clusters))
            print(f"all observers hear their primaries, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            before = {one.lab.name: _starts(one) for one in clusters}
            listeners = [asyncio.create_task(one.listen()) for one in clusters]
            lasted = await suffer(clusters, minutes)
            for listener in listeners:
                assert not listener.done(), listener
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)
            await asyncio.sleep(CALM_SECONDS)
            for one in clusters:
                await one.look()
                one.counts.restarts = len(before[one.lab.name] - _starts(one)) if one.lab.cluster is None else 0
            print(told(clusters), file=sys.stderr, flush=True)
            control = {one.lab.name: await controlled(one) for one in clusters}
    return report(_result(minutes, lasted, clusters, control))


async def controlled(one: Watched) -> dict[str, Any]:
    """The control: once all is well again, a real death."""
    if one.lab.cluster is not None:
        await one.lab.cluster.wait_healthy()
    await one.until_healthy()
    return await one.kill_and_see()


def _starts(one: Watched) -> set[tuple[str, str]]:
    """Server processes, by their ids and when they were started."""
    return {(server.name, _first_line(server.data_directory / "postmaster.pid")) for server in one.servers}


def _first_line(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0]
    except OSError:
        return ""


def _result(minutes: float, lasted: Mapping[str, float], clusters: list[Watched], control: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "minutes": minutes,
        "load": [round(one, 1) for one in os.getloadavg()],
        "turns_s": {name: round(seconds) for name, seconds in lasted.items()},
    }
    is_ok = True
    for one in clusters:
        counts = one.counts
        kind = "patroni" if any(isinstance(server, PatroniServer) for server in one.servers) else "native"
        false = {rule: number for rule, number in counts.findings.items() if rule in FALSE}
        found[kind] = {
            "dead": len(counts.deaths),
            "failovers": counts.failovers,
            "refused": counts.refused,
            "fences": counts.fences,
            "restarts": counts.restarts,
            "false_findings": false,
            "verdicts": dict(counts.verdicts),
            "findings": dict(counts.findings),
            "statuses": counts.statuses,
            "looks": counts.looks,
            "heard": counts.heard,
            "deaths": counts.deaths[:20],
            "control": control[one.lab.name],
        }
        wrong = len(counts.deaths) + counts.failovers + counts.refused + counts.fences + counts.restarts + sum(false.values())
        is_ok = is_ok and wrong == 0 and control[one.lab.name]["states"] == ["succeeded"]
    return {**found, "is_ok": is_ok}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
