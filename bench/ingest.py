"""Events a second that are durable when they are acknowledged, beside VictoriaMetrics with the same client in the same run.

Run: ``.venv/bin/python bench/ingest.py [SECONDS]``. A real ``dbre server`` (state store, engine, prober and all) listens on
``ingest.listen``; the client is this process, on the same machine, with 8 connections that each wait for their answer. Bodies
are encoded before the clock starts. VictoriaMetrics gets the same number of samples in its own form, and acknowledges before
they are on the disk; dbre waits for ``fdatasync``.

Goals: 100,000 events/s at 1,000 events a request, acknowledged within 250 ms (p99); every acknowledged event counted.
"""

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from kit.report import report

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port

CONNECTIONS = 8
GOAL_EVENTS_PER_SECOND, GOAL_P99_MS = 100_000, 250
NAME = "checkout@orders"
Answer = tuple[int, bytes]


class Connection:
    """HTTP/1.1 without a library: what is measured is the server."""

    def __init__(self, port: int, head: str) -> None:
        self._port, self._head = port, head
        self.latencies: list[float] = []

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def post(self, body: bytes, sequence: int) -> Answer:
        began = time.perf_counter()
        head = f"{self._head}Dbre-Sequence: {sequence}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        head_read = await self._reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head_read.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        content = await self._reader.readexactly(length)
        self.latencies.append(time.perf_counter() - began)
        return int(head_read[9:12]), content


async def drive(port: int, head: str, body: Callable[[], bytes], *, batch: int, seconds: float, ok: int) -> dict[str, float]:
    """Send until the time is over; every connection waits for its answers."""
    content, sent = body(), 0
    connections = [Connection(port, head.replace("STREAM", f"b{batch}-{time.time_ns()}-{n}")) for n in range(CONNECTIONS)]
    for one in connections:
        await one.open()
    end = time.perf_counter() + seconds

    async def send(connection: Connection) -> None:
        nonlocal sent
        sequence = 0
        while time.perf_counter() < end:
            status, text = await connection.post(content, sequence)
            if status != ok:
                raise SystemExit(f"answer {status}: {text[:300]!r}")
            sequence += 1
            sent += batch

    began = time.perf_counter()
    await asyncio.gather(*map(send, connections))
    elapsed = time.perf_counter() - began
    cuts = quantiles([one for each in connections for one in each.latencies], n=100)
    return {"events": sent, "per_second": sent / elapsed, "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


def columns(batch: int) -> bytes:
    now = int(time.time() * 1000)
    ms = [float(10 + index * 37 % 500) for index in range(batch)]
    document = {"slo": NAME, "ts": [now + index % 1000 for index in range(batch)], "ms": ms}
    return json.dumps({**document, "good": [index % 1000 != 0 for index in range(batch)]}).encode()


def rows(batch: int) -> bytes:
    now = int(time.time() * 1000)
    return json.dumps(
        [
            {"ts": now + index % 1000, "slo": NAME, "good": index % 1000 != 0, "ms": float(10 + index * 37 % 500)}
            for index in range(batch)
        ]
    ).encode()


def samples(batch: int) -> bytes:
    now = int(time.time() * 1000)
    lines = [f'latency{{slo="checkout",cluster="orders"}} {10 + index * 37 % 500} {now + index}\n' for index in range(batch)]
    return "".join(lines).encode()


def configuration(listen: int) -> dict[str, object]:
    instance = {"name": "orders-1", "host": "127.0.0.1", "port": choose_port()}
    slo = {
        "name": "checkout",
        "selector": {"environment": "default"},
        "sli": {"kind": "events", "good": "latency", "threshold": "450ms"},
        "target": "99.9%",
        "window": {"rolling": "30d"},
    }
    clusters = [{"name": "orders", "engine": "postgresql", "instances": [instance]}]
    return {"fleet": {"clusters": clusters}, "slos": [slo], "ingest": {"listen": f"127.0.0.1:{listen}"}}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def command(plane: ControlPlaneProcess, *arguments: str) -> dict:
    child = await asyncio.create_subprocess_exec(*plane.command(*arguments, "-o", "json"), stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return json.loads(output)


async def measure_dbre(directory: Path, seconds: float, result: dict[str, object]) -> int:
    """The number of events that were acknowledged and are not counted."""
    port, sent = choose_port(), 0
    plane = ControlPlaneProcess(directory, configuration(port))
    await plane.start()
    try:
        token = (await command(plane, "ingest", "producer", "add", "bench"))["item"]["token"]
        head = (
            f"POST /ingest/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
        )
        for name, body in (("columns", columns), ("rows", rows)):
            for batch in (1, 100, 1000, 2000):
                before = cpu_seconds(plane.pid)
                stream = f"{head}Dbre-Stream: STREAM\r\n"
                found = await drive(port, stream, lambda b=body, n=batch: b(n), batch=batch, seconds=seconds, ok=200)
                sent += int(found["events"])
                spent = (cpu_seconds(plane.pid) - before) / found["events"] * 1e6
                result[f"{name}_{batch}"] = {**shown(found), "server_cpu_s_per_1m": round(spent, 2)}
        result["rss_mib"] = round(memory_mib(plane.pid), 1)
        return await missing(plane, sent)
    finally:
        await plane.stop()


async def missing(plane: ControlPlaneProcess, sent: int) -> int:
    counted = 0
    for _ in range(30):
        one = next(one for one in (await command(plane, "slo", "list"))["items"] if one["id"] == NAME)
        counted = one["good"] + one["bad"]
        if counted == sent:
            break
        await asyncio.sleep(0.5)
    return sent - counted


async def measure_victoria(directory: Path, seconds: float, result: dict[str, object]) -> None:
    binary, port = shutil.which("victoria-metrics"), choose_port()
    if binary is None:
        result["victoria_metrics"] = "not installed"
        return
    arguments = [f"-storageDataPath={directory}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1"]
    child = subprocess.Popen(  # noqa: ASYNC220 - starting it takes milliseconds
        [binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        head = "POST /api/v1/import/prometheus HTTP/1.1\r\nHost: x\r\n"
        for _ in range(100):
            try:
                await Connection(port, head).open()
                break
            except OSError:
                await asyncio.sleep(0.1)
        for batch in (100, 1000, 2000):
            found = await drive(port, head, lambda n=batch: samples(n), batch=batch, seconds=seconds, ok=204)
            result[f"victoria_metrics_{batch}"] = shown(found)
    finally:
        child.terminate()
        child.wait(20)


def shown(found: dict[str, float]) -> dict[str, float]:
    return {"per_second": round(found["per_second"]), **{key: round(found[key], 2) for key in ("p50_ms", "p99_ms")}}


async def main(seconds: float) -> int:
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        lost = await measure_dbre(Path(first), seconds, result)
        await measure_victoria(Path(second), seconds, result)
    best = result["columns_1000"]
    result["events_missing"] = lost
    result["is_ok"] = lost == 0 and best["per_second"] >= GOAL_EVENTS_PER_SECOND and best["p99_ms"] < GOAL_P99_MS  # type: ignore[index]
    return report(result)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)))
