"""One row of the table of failovers: what clients lose of a cluster that Patroni runs, by fault and by settings.

Run: ``.venv/bin/python bench/failover_table.py ROW [RUNS] [DIRECTORY]`` (default 3 runs, bench/runs; without ROW: the rows),
and ``... table [DIRECTORY]`` for what was kept of all rows. A lab of three nodes with fsync and an etcd of three members is set
as the row says; then ``dbre ha drill run`` does the rest, as a user would type it. Each run is kept as it ends, so that a row
that was interrupted goes on where it stopped. The benchmark takes up killed servers at once, as an init does (kit/reaper.py):
some inits look every few seconds only, and until then Patroni takes a dead server for a running one. Rows with black holes and
partitions give each node a network namespace, which needs root.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.kept_runs import KeptRuns, markdown, summary
from kit.power_switch import ended, power_fence, power_on
from kit.reaper import reaping
from kit.report import report
from kit.watchdogs import watchdogs

from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.errors import LabError
from dbre.lab.patroni.server import PatroniServer
from dbre.ports.lease_settings import LeaseSettings, SynchronousMode

NAME = f"bench-row-{os.getpid()}"
STOCK = LeaseSettings(ttl=30, loop_wait=10, retry_timeout=10)
ASYNC = LeaseSettings(ttl=20, loop_wait=1, retry_timeout=3, primary_start_timeout=0)
QUORUM = LeaseSettings(ttl=20, loop_wait=1, retry_timeout=3, primary_start_timeout=0, synchronous_mode=SynchronousMode.QUORUM)
DIRECTORY = Path(__file__).parent / "runs"
_LOOK_SECONDS = 2.0
_LABS = 5  # a cluster that is not whole after a run ends the drill: then the row goes on with another one
_SAFETY_MARGIN_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault and settings."""

    kind: str
    settings: LeaseSettings
    by: str = "patroni"
    network: bool = False
    watchdog: bool = False

    @property
    def is_powered_off(self) -> bool:
        """Whether the fence takes the machine away, and somebody has to turn it on again."""
        return self.by == "dbre" and self.kind in ("freeze", "black-hole")

    def said(self) -> dict[str, Any]:
        """For people."""
        mode = self.settings.synchronous_mode.value
        commits = "asynchronous" if mode == "off" else mode
        return {
            "fault": self.kind + (", watchdog" if self.watchdog else ""),
            "by": self.by,
            "commits": commits + (", stock settings" if self.settings is STOCK else ""),
        }


ROWS = {
    "A1": Row(kind="leader-crash", settings=STOCK),
    "A2": Row(kind="leader-crash", settings=ASYNC),
    "A4": Row(kind="leader-crash", settings=QUORUM),
    "B1": Row(kind="node-loss", settings=STOCK),
    "B2": Row(kind="node-loss", settings=ASYNC),
    "B2q": Row(kind="node-loss", settings=QUORUM),
    "B3": Row(kind="node-loss", settings=ASYNC, by="dbre"),
    "B3q": Row(kind="node-loss", settings=QUORUM, by="dbre"),
    "P1": Row(kind="black-hole", settings=ASYNC, network=True),
    "P1q": Row(kind="black-hole", settings=QUORUM, network=True),
    "P1f": Row(kind="black-hole", settings=QUORUM, by="dbre", network=True),
    "P2": Row(kind="partition", settings=ASYNC, network=True),
    "P2q": Row(kind="partition", settings=QUORUM, network=True),
    "S1": Row(kind="patroni-freeze", settings=ASYNC),
    "S1q": Row(kind="patroni-freeze", settings=QUORUM),
    "S1w": Row(kind="patroni-freeze", settings=ASYNC, watchdog=True),
    "S2": Row(kind="freeze", settings=ASYNC),
    "S2q": Row(kind="freeze", settings=QUORUM),
    "S2f": Row(kind="freeze", settings=QUORUM, by="dbre"),
    "D1": Row(kind="dcs-loss", settings=QUORUM),
    "C1": Row(kind="planned", settings=QUORUM),
}


async def main() -> int:
    """One row, or the table."""
    words = sys.argv[1:]
    if words[:1] == ["table"]:
        return table(Path(words[1]) if len(words) > 1 else DIRECTORY)
    if not words or words[0] not in ROWS:
        for name, row in ROWS.items():
            told = row.said()
            print(f"{name:<4} {told['fault']}, ttl {row.settings.ttl}, commits {told['commits']}, by {row.by}")
        return 2
    name, row, wanted = words[0], ROWS[words[0]], int(words[1]) if len(words) > 1 else 3
    kept = KeptRuns(Path(words[2]) if len(words) > 2 else DIRECTORY, name)
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # a lab must not outlive it
    for _ in range(_LABS):
        if kept.measured() < wanted:
            try:
                await some_runs(name, row, kept, wanted)
            except LabError as error:
                print(f"another lab: {error.message}", file=sys.stderr, flush=True)
    runs = kept.all()
    return report({"row": name, **row.said(), **summary(runs), "is_ok": not any(one.get("failure") for one in runs)})


def table(directory: Path) -> int:
    """What was kept, as Markdown."""
    found = {name: KeptRuns(directory, name).all() for name in ROWS}
    print(markdown({name: (ROWS[name].said(), summary(runs)) for name, runs in found.items() if runs}))
    for name, runs in found.items():
        for failure in summary(runs)["failed"] if runs else ():
            print(f"{name}: a run failed: {failure}", file=sys.stderr)
    return 0


async def some_runs(name: str, row: Row, kept: KeptRuns, wanted: int) -> None:
    """On one lab, until there are enough, or its cluster does not become whole after a run."""
    spec = LabSpec(name=NAME, engine=LabEngine.POSTGRESQL, replicas=2, patroni="lan-fast", network=row.network)
    with reaping():  # from before the first start on: who was orphaned earlier is init's
        lab = await Lab.create(spec)
        try:
            async with AsyncExitStack() as stack:
                await prepare(lab, row, stack)
                await drills(lab, name, row, kept, wanted - kept.measured())
        finally:
            await lab.down()


async def prepare(lab: Lab, row: Row, stack: AsyncExitStack) -> None:
    """Set the cluster as the row says; for failovers of ours, say how its processes are found and killed."""
    assert lab.cluster is not None
    await lab.cluster.configure(row.settings.as_document())
    await lab.cluster.wait_healthy()
    if row.watchdog:
        await stack.enter_async_context(watchdogs(lab.cluster.nodes, margin_seconds=_SAFETY_MARGIN_SECONDS))
        await lab.cluster.wait_healthy()
    if row.by != "dbre":
        return
    for one in lab.servers:
        assert isinstance(one, PatroniServer)
        async with await one.connect() as admin:
            await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
            await admin.execute("SELECT pg_reload_conf()")
    text = lab.config_file.read_text()
    if row.is_powered_off:
        text = text.replace(
            "      patroni:\n", f"      failover: {{fence: [{power_fence(lab.config_file.parent)}]}}\n      patroni:\n", 1
        )
        stack.push_async_callback(ended, asyncio.create_task(power_on(lab.servers)))
    for one in lab.servers:
        entry = f"{{name: {one.name}, host: {one.address.host}, port: {one.address.port}}}"
        control = f"{{kind: commands, data_directory: {one.data_directory}, start: [/bin/false], stop: [/bin/false]}}"
        assert entry in text
        text = text.replace(entry, f"{entry[:-1]}, control: {control}}}")
    lab.config_file.write_text(text)


async def drills(lab: Lab, name: str, row: Row, kept: KeptRuns, runs: int) -> None:
    """``dbre ha drill run``, and each of its runs as soon as the product has kept it."""
    words = [
        "ha",
        "drill",
        "run",
        NAME,
        "--kind",
        row.kind,
        "--by",
        row.by,
        "--runs",
        str(runs),
        "--confirm",
        NAME,
        "-o",
        "json",
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dbre", "-c", str(lab.config_file), *words, "-o", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ending = asyncio.create_task(process.communicate())
    known = 0
    try:
        while True:
            is_over = ending.done()
            for run in stored_runs(lab)[known:]:
                known += 1
                kept.keep({"row": name, **run})
                told = {key: run.get(key) for key in ("failure", "outage_seconds", "lost", "old_acknowledged")}
                print(json.dumps(told), flush=True)
            if is_over:
                break
            await asyncio.wait([ending], timeout=_LOOK_SECONDS)
    finally:
        if process.returncode is None:
            process.terminate()
        _, complaints = await ending
    if known < runs:
        print(f"the drill ended after {known} of {runs} runs: {complaints.decode()[-2000:]}", file=sys.stderr, flush=True)


def stored_runs(lab: Lab) -> list[dict[str, Any]]:
    """What the lab's state store has by now, in the order of the runs."""
    store = lab.config_file.parent / "dbre.db"
    if not store.exists():
        return []
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30.0)) as connection:
        found = connection.execute("SELECT document FROM ha_drill ORDER BY began_at, number").fetchall()
    return [json.loads(one) for (one,) in found]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
