"""Run a control plane for a long time under random faults, then hold what it says against what arrived.

Faults in the first three quarters: the primary frozen or killed, the replica frozen, the control plane killed or restarted, the
pager unreachable. In the last quarter the control plane is left alone, so that its memory can be compared over one life.

Passes if every alert that was stored arrived exactly once (the same webhook id may come again after a kill), fired and resolved
alternate, every slot of the last life is counted, and memory did not grow.

Usage: python bench/soak.py [--minutes 30] [--seed N]
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.demo.pager import Pager
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site

QUIET_SECONDS = 150.0  # at the end: alerts resolve and the last deliveries arrive
MAX_GROWTH_RATIO = 0.10
MAX_GROWTH_BYTES = 16 * 2**20  # below this a growth is noise
HOOK_SECRET = "whsec_c29hay1zb2FrLXNvYWstc29hay1zb2FrLXNvYWs="


class UnsteadyPager(Pager):
    """A pager that can be made to fail; half of the time after it took the page, so that only its answer is lost."""

    is_failing = False

    def ignore_broken_connections(self) -> None:
        """Leave out the stack trace of each."""
        assert self._server is not None
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]

    def accept(self, headers: dict[str, str], body: bytes) -> None:
        """Take a delivery, or break the connection."""
        if self.is_failing and random.random() < 0.5:
            raise ConnectionError("not taken")
        super().accept(headers, body)
        if self.is_failing:
            raise ConnectionError("taken, and not answered")


@dataclass
class Soak:
    """What runs, and what was seen of it."""

    primary: PostgresServer
    replica: PostgresServer
    plane: ControlPlaneProcess
    pager: UnsteadyPager
    chance: random.Random
    started: float = field(default_factory=time.monotonic)
    faults: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)  # of the present life: seconds, bytes

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        print(f"{time.monotonic() - self.started:7.1f} s  {text}", flush=True)

    async def freeze(self, server: PostgresServer) -> None:
        """Hold a server for a while."""
        seconds = self.chance.uniform(2, 30)
        self.say(f"freeze {server.name} for {seconds:.0f} s")
        await server.freeze()
        await asyncio.sleep(seconds)
        await server.thaw()

    async def kill(self, server: PostgresServer) -> None:
        """Kill a server and start it again after a while."""
        seconds = self.chance.uniform(0, 20)
        self.say(f"kill {server.name}, start it after {seconds:.0f} s")
        await server.kill()
        await asyncio.sleep(seconds)
        await server.start()

    async def restart_plane(self, number: signal.Signals) -> None:
        """End the control plane with a signal and start it again."""
        self.say(f"{number.name} to the control plane")
        await self.plane.stop(number)
        await asyncio.sleep(self.chance.uniform(0, 5))
        await self.plane.start()
        self.memory.clear()

    async def break_pager(self) -> None:
        """Break the connections of the webhook for a while, in the middle of an outage of the primary."""
        self.say("pager fails during an outage")
        self.pager.is_failing = True
        await self.freeze(self.primary)
        await asyncio.sleep(self.chance.uniform(5, 20))
        self.pager.is_failing = False

    async def disturb(self, until: float, *, plane: bool) -> None:
        """Faults at random until a moment; with ``plane``, of the control plane too."""
        acts: dict[str, Callable[[], Awaitable[None]]] = {
            "freeze primary": lambda: self.freeze(self.primary),
            "freeze replica": lambda: self.freeze(self.replica),
            "kill primary": lambda: self.kill(self.primary),
            "kill replica": lambda: self.kill(self.replica),
            "failing pager": self.break_pager,
        }
        if plane:
            acts["kill control plane"] = lambda: self.restart_plane(signal.SIGKILL)
            acts["restart control plane"] = lambda: self.restart_plane(signal.SIGTERM)
            acts["kill control plane in an outage"] = self.kill_plane_in_outage
        while time.monotonic() < until:
            name = self.chance.choice(sorted(acts))
            self.faults[name] += 1
            await acts[name]()
            await asyncio.sleep(self.chance.uniform(5, 40))

    async def kill_plane_in_outage(self) -> None:
        """SIGKILL while the primary hangs: the moment at which alerts fire."""
        outage = asyncio.create_task(self.freeze(self.primary))
        await asyncio.sleep(self.chance.uniform(1, 20))
        await self.restart_plane(signal.SIGKILL)
        await outage

    async def watch_memory(self) -> None:
        """Note the resident memory of the control plane every ten seconds."""
        while True:
            with suppress(OSError, IndexError):
                self.memory.append((time.monotonic(), resident_bytes(self.plane.pid)))
            await asyncio.sleep(10)

    async def stored_events(self) -> list[dict]:
        """All alert events of the store, oldest first."""
        found: list[dict] = []
        async with self.plane.client() as client:
            before: dict[str, int] = {}
            while True:
                answer = await client.get("/api/v1/events", params={"kind": "slo.*", "limit": 500, **before})
                page = answer.raise_for_status().json()["items"]
                if not page:
                    return sorted((one for one in found if ".alert_" in one["kind"]), key=lambda one: one["sequence"])
                found += page
                before = {"before": min(one["sequence"] for one in page)}


def resident_bytes(pid: int) -> int:
    """How much memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def keep_private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def configuration(pager: Pager, primary: PostgresServer, replica: PostgresServer, password_file: Path) -> dict[str, object]:
    """A cluster that is probed every second, and an SLO that pages within a minute."""
    instances = [{"name": one.name, "host": one.address.host, "port": one.address.port} for one in (primary, replica)]
    alerts = [
        {"severity": "page", "long": "1m", "short": "10s", "factor": 2},
        {"severity": "ticket", "long": "5m", "short": "30s", "factor": 1},
    ]
    return {
        "fleet": {
            "clusters": [
                {
                    "name": "soak",
                    "engine": "postgresql",
                    "user": primary.superuser,
                    "password": f"file:{password_file}",
                    "tls": "disable",
                    "databases": ["postgres"],
                    "instances": instances,
                }
            ]
        },
        "probe": {"interval": "1s", "connect_timeout": "300ms", "statement_timeout": "300ms", "total_timeout": "600ms"},
        "alerting": {"evaluation_interval": "1s", "telemetry_lost_after": "30s"},
        "slos": [
            {
                "name": f"soak-{purpose}",
                "selector": {"cluster": "soak"},
                "sli": {"kind": "availability", "purpose": purpose},
                "target": "95%",
                "window": {"rolling": "1h"},
                "alerts": alerts,
            }
            for purpose in ("write", "read", "replica")
        ],
        "receivers": [
            {
                "name": "pager",
                "url": pager.url,
                "secret": "env:DBRE_SOAK_SECRET",
                "severities": ["page", "ticket"],
                "allow_loopback": True,
            }
        ],
    }


def verdicts(stored: list[dict], pager: Pager, memory: list[tuple[float, int]]) -> list[tuple[bool, str]]:
    """What must hold at the end."""
    wanted = {one["id"] for one in stored}
    arrived = Counter(one.webhook_id for one in pager.deliveries)
    unsigned = sum(not one.is_signed for one in pager.deliveries)
    lost = [one for one in stored if one["id"] not in arrived]
    unknown = set(arrived) - wanted
    twice = Counter((one["data"]["alert_id"], one["kind"]) for one in stored)
    doubled = [key for key, count in twice.items() if count > 1]
    rows = [
        (bool(stored), f"{len(stored)} alert events were stored"),
        (not lost, f"{len(lost)} of them did not arrive"),
        (not unknown, f"{len(unknown)} webhooks speak of events that are not stored"),
        (not doubled, f"{len(doubled)} alerts fired or resolved twice"),
        (not unsigned, f"{unsigned} of {len(pager.deliveries)} webhooks have a wrong signature"),
        (not disordered(stored), f"{len(disordered(stored))} times fired and resolved do not alternate"),
    ]
    repeated = sum(arrived.values()) - len(arrived)
    print(f"{repeated} webhooks came again with the id of one that had come before; receivers drop them")
    if len(memory) >= 12:
        quarter = max(len(memory) // 4, 3)
        early, late = (median(size for _, size in part) for part in (memory[3 : 3 + quarter], memory[-quarter:]))
        growth = late - early
        text = (
            f"resident memory went from {early / 2**20:.1f} to {late / 2**20:.1f} MiB in {memory[-1][0] - memory[0][0]:.0f} s"
        )
        rows.append((growth <= max(MAX_GROWTH_BYTES, early * MAX_GROWTH_RATIO), text))
    return rows


def disordered(stored: list[dict]) -> list[str]:
    """Alert rules whose events do not alternate between fired and resolved."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    for one in stored:
        by_rule[f"{one['data']['slo']} on {one['data']['cluster']}: {one['data']['rule']}"].append(one["kind"])
    return [
        rule
        for rule, kinds in by_rule.items()
        if kinds[0] != "slo.alert_fired" or any(first == second for first, second in itertools.pairwise(kinds))
    ]


async def run(minutes: float, seed: int) -> int:
    """Build everything, disturb it, judge it, and take everything down again."""
    os.environ["DBRE_SOAK_SECRET"] = HOOK_SECRET
    with temporary_site(prefix="dbre-soak-", durable=True) as site:
        binaries = await find_postgres(account=site.account, cache=site.cache)
        primary = PostgresServer("soak-1", site, binaries=binaries)
        replica = PostgresServer("soak-2", site, binaries=binaries, replica_of=primary)
        await primary.start()
        await replica.start()
        home = site.directory / "control-plane"
        password_file = keep_private(home / "password", primary.password.reveal())
        with UnsteadyPager(secret=Secret(HOOK_SECRET)) as pager:
            pager.ignore_broken_connections()
            plane = ControlPlaneProcess(home, configuration(pager, primary, replica, password_file))
            soak = Soak(primary, replica, plane, pager, random.Random(seed))
            try:
                return await soak_for(soak, minutes * 60)
            finally:
                await plane.stop()


async def soak_for(soak: Soak, seconds: float) -> int:
    """The run itself; exit code 0 if everything held."""
    await soak.plane.start()
    soak.say(f"control plane on {soak.plane.url}, {seconds / 60:g} minutes of faults")
    watch = asyncio.create_task(soak.watch_memory())
    end = soak.started + seconds
    await soak.disturb(soak.started + 0.75 * seconds, plane=True)
    soak.say("from here on the control plane is left alone")
    await soak.disturb(end, plane=False)
    soak.say(f"quiet for {QUIET_SECONDS:.0f} s")
    await asyncio.sleep(QUIET_SECONDS)
    watch.cancel()
    rows = verdicts(await soak.stored_events(), soak.pager, soak.memory)
    soak.say("faults: " + ", ".join(f"{count} x {name}" for name, count in sorted(soak.faults.items())))
    for is_kept, text in rows:
        print(f"{'ok    ' if is_kept else 'FAILED'}  {text}")
    return 0 if all(is_kept for is_kept, _ in rows) else 1


def main() -> int:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="length of the faults (default: 30)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeat the faults of an earlier run")
    flags = parser.parse_args()
    print(f"seed {flags.seed}", flush=True)
    return asyncio.run(run(flags.minutes, flags.seed))


if __name__ == "__main__":
    sys.exit(main())
