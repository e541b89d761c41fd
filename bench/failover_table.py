"""One row of the table of failovers: what clients lose of a cluster that Patroni runs, by fault and by settings.

Run: ``.venv/bin/python bench/failover_table.py ROW [RUNS]`` (default 3 runs; without ROW: the rows). A lab of three nodes with
fsync and an etcd of three members is set as the row says; then ``dbre ha drill run`` does the rest, as a user would type it.
Rows with black holes and partitions give each node a network namespace, which needs root.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.report import report

from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.patroni.server import PatroniServer
from dbre.ports.lease_settings import LeaseSettings, SynchronousMode

NAME = f"bench-row-{os.getpid()}"
STOCK = LeaseSettings(ttl=30, loop_wait=10, retry_timeout=10)
ASYNC = LeaseSettings(ttl=20, loop_wait=1, retry_timeout=3, primary_start_timeout=0)
QUORUM = LeaseSettings(ttl=20, loop_wait=1, retry_timeout=3, primary_start_timeout=0, synchronous_mode=SynchronousMode.QUORUM)
_RUN_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault and settings."""

    kind: str
    settings: LeaseSettings
    by: str = "patroni"
    network: bool = False


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
    "S2": Row(kind="freeze", settings=ASYNC),
    "S2q": Row(kind="freeze", settings=QUORUM),
    "S2f": Row(kind="freeze", settings=QUORUM, by="dbre"),
    "D1": Row(kind="dcs-loss", settings=QUORUM),
    "C1": Row(kind="planned", settings=QUORUM),
}


async def main() -> int:
    """One row."""
    if len(sys.argv) < 2 or sys.argv[1] not in ROWS:
        for name, row in ROWS.items():
            mode = row.settings.synchronous_mode.value
            print(f"{name:<4} {row.kind}, ttl {row.settings.ttl}, synchronous {mode}, by {row.by}")
        return 2
    row, runs = ROWS[sys.argv[1]], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    spec = LabSpec(name=NAME, engine=LabEngine.POSTGRESQL, replicas=2, patroni="lan-fast", network=row.network)
    lab = await Lab.create(spec)
    try:
        await prepare(lab, row)
        return report({"row": sys.argv[1], **await drill(lab, row, runs)})
    finally:
        await lab.down()


async def prepare(lab: Lab, row: Row) -> None:
    """Set the cluster as the row says; for failovers of ours, say how its processes are found and killed."""
    assert lab.cluster is not None
    await lab.cluster.configure(row.settings.as_document())
    await lab.cluster.wait_healthy()
    if row.by != "dbre":
        return
    for one in lab.servers:
        assert isinstance(one, PatroniServer)
        async with await one.connect() as admin:
            await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
            await admin.execute("SELECT pg_reload_conf()")
    text = lab.config_file.read_text()
    for one in lab.servers:
        entry = f"{{name: {one.name}, host: {one.address.host}, port: {one.address.port}}}"
        control = f"{{kind: commands, data_directory: {one.data_directory}, start: [/bin/false], stop: [/bin/false]}}"
        assert entry in text
        text = text.replace(entry, f"{entry[:-1]}, control: {control}}}")
    lab.config_file.write_text(text)


async def drill(lab: Lab, row: Row, runs: int) -> dict[str, Any]:
    """What ``dbre ha drill run`` says, in short."""
    words = ["ha", "drill", "run", NAME, "--kind", row.kind, "--by", row.by, "--runs", str(runs), "--confirm", NAME]
    items = await said(lab.config_file, [*words, "-o", "json"], limit_seconds=_RUN_SECONDS * runs)
    outages = sorted(float(one["outage_seconds"]) for one in items)
    return {
        "server": lab.primary.version_text,
        "kind": row.kind,
        "by": row.by,
        "ttl": row.settings.ttl,
        "synchronous": row.settings.synchronous_mode.value,
        "runs": len(items),
        "outages_s": [round(one, 2) for one in outages],
        "promised_s": [items[0]["predicted_least_seconds"], items[0]["predicted_most_seconds"]],
        "noticed_s": _rounded(items, "noticed_seconds"),
        "promoted_s": _rounded(items, "promoted_seconds"),
        "whole_s": _rounded(items, "redundancy_seconds"),
        "acknowledged": sum(one["acknowledged"] for one in items),
        "lost": [one["lost"] for one in items],
        "old_acknowledged": [one["old_acknowledged"] for one in items],
        "is_ok": len(items) == runs,
    }


def _rounded(items: list[dict[str, Any]], key: str) -> list[float | None]:
    return [None if one[key] is None else round(one[key], 2) for one in items]


async def said(config: Path, words: list[str], *, limit_seconds: float) -> list[dict[str, Any]]:
    """The items of a command's answer. Raises: RuntimeError with what it complained about."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "dbre",
        "-c",
        str(config),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(limit_seconds):
        told, complaints = await process.communicate()
    try:
        return list(json.loads(told)["items"])
    except (ValueError, KeyError) as error:
        raise RuntimeError(complaints.decode()[-2000:]) from error


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
