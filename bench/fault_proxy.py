"""What the fault proxy costs and how exactly it hits, beside HAProxy, nginx and Toxiproxy: same clients, same run.

Run: ``.venv/bin/python bench/fault_proxy.py [SECONDS]`` (default 3, of each pgbench). Rounds are interleaved, and the best of
three counts, because other work on the machine only ever takes away. HAProxy runs with one thread and ``option splice-auto``,
nginx with one worker, Toxiproxy as Go builds it (once, below ``.uv/peers``). CPU seconds are those of the proxy's process.
Peers that are not installed are left out and named.

The limits: not slower than HAProxy at 16 connections (but for the 3 % by which two runs of the same differ); 0.45 CPU s a GB
when it splices; 5 % for frames of messages and for toxics that never hit; delays within 2 ms; a share within what chance does
once in ten thousand runs.
"""

import asyncio
import json
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from kit.report import report
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site

ROUNDS, BULK_BYTES, DELAYS, DELAY_MS, SHARE_QUERIES, SHARE = 3, 1 << 28, 100, 20.0, 4000, 0.1
MOST_CPU_PER_GB, MOST_OVERHEAD, MOST_OFF_MS, SAME = 0.45, 0.05, 2.0, 0.97
TOXIPROXY = Path(__file__).parent.parent / ".uv/peers/toxiproxy/v2.12.0"
NGINX_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


@contextmanager
def program(words: list[str], port: int) -> Iterator[int]:
    """A proxy that runs; its process id."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with socket.socket() as one:
                    if one.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def own(port: int, to: int, *words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "dbre",
        "chaos",
        "proxy",
        "run",
        "--listen",
        f"127.0.0.1:{port}",
        "--to",
        f"127.0.0.1:{to}",
        *words,
    ]


def haproxy(port: int, to: int, place: Path) -> list[str] | None:
    found = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    config = place / f"haproxy-{port}.cfg"
    config.write_text(
        "global\n  nbthread 1\n  maxconn 1000\ndefaults\n  mode tcp\n  option splice-auto\n  timeout connect 5s\n"
        f"  timeout client 1h\n  timeout server 1h\nlisten l\n  bind 127.0.0.1:{port}\n  server s 127.0.0.1:{to}\n"
    )
    return [found, "-db", "-f", str(config)] if found else None


def nginx(port: int, to: int, place: Path) -> list[str] | None:
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    config = place / f"nginx-{port}.conf"
    config.write_text(
        f"load_module {NGINX_MODULE};\ndaemon off;\nmaster_process off;\npid {place}/nginx-{port}.pid;\nerror_log /dev/null;\n"
        f"events {{ worker_connections 1000; }}\n"
        f"stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{to}; }} }}\n"
    )
    return [found, "-c", str(config), "-p", str(place)] if found and Path(NGINX_MODULE).exists() else None


def toxiproxy(port: int, to: int, place: Path) -> list[str] | None:
    found, compiler = TOXIPROXY / "server", shutil.which("go")
    if not found.exists() and compiler:
        module = f"github.com/Shopify/toxiproxy/v2/cmd/server@{TOXIPROXY.name}"
        subprocess.run([compiler, "install", module], env={**os.environ, "GOBIN": str(TOXIPROXY)}, check=True, timeout=600)
    config = place / f"toxiproxy-{port}.json"
    config.write_text(
        json.dumps([{"name": "l", "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{to}", "enabled": True}])
    )
    return [str(found), "-port", str(choose_port()), "-config", str(config)] if found.exists() else None


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tps(server: PostgresServer, port: int, pid: int | None, clients: int, seconds: int) -> tuple[float, float]:
    """Transactions a second, and CPU microseconds of the proxy for each: what other work on the machine changes little."""
    before = cpu_seconds(pid) if pid else 0.0
    given = conninfo_to_dict(server.conninfo(database="postgres"))
    words = [
        str(server.binaries.directory / "pgbench"),
        "-n",
        "-S",
        "-c",
        str(clients),
        "-j",
        "1",
        "-T",
        str(seconds),
        "-h",
        "127.0.0.1",
    ]
    done = subprocess.run(
        [*words, "-p", str(port), "-U", str(given["user"]), "postgres"],
        env={**os.environ, "PGPASSWORD": str(given.get("password", "")), "PGSSLMODE": "disable"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"tps = ([0-9.]+) \(without", done.stdout)
    assert found, f"{port}: {done.stdout} {done.stderr}"
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    assert count
    return float(found[1]), ((cpu_seconds(pid) - before) if pid else 0.0) / int(count[1]) * 1e6


def source() -> tuple[socket.socket, int]:
    """A server that sends a lot to whoever comes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        block = bytes(1 << 20)
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    for _ in range(BULK_BYTES >> 20):
                        client.sendall(block)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


def bulk(port: int, pid: int | None) -> tuple[float, float]:
    """GB/s, and CPU seconds of the proxy a GB."""
    before, began, received = cpu_seconds(pid) if pid else 0.0, time.monotonic(), 0
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as client:
        while count := client.recv_into(buffer):
            received += count
    assert received == BULK_BYTES
    took = time.monotonic() - began
    return received / took / 1e9, ((cpu_seconds(pid) - before) if pid else 0.0) / received * 1e9


async def exactness(server: PostgresServer) -> dict[str, object]:
    """How far delays are off, and how near to its share the error comes."""
    given = conninfo_to_dict(server.conninfo(database="postgres")) | {"host": "127.0.0.1", "sslmode": "disable"}
    found: dict[str, object] = {}
    port = choose_port()
    toxics = [
        f"latency,unit=query,latency={DELAY_MS},match.regex=late",
        f"error,unit=query,toxicity={SHARE},match.regex=poison",
    ]
    words = own(
        port,
        server.address.port,
        "--engine",
        "postgresql",
        "--seed",
        "20261121",
        *[each for one in toxics for each in ("--toxic", one)],
    )
    with program(words, port):
        async with await psycopg.AsyncConnection.connect(make_conninfo(**given | {"port": str(port)}), autocommit=True) as one:
            plain = statistics.median([await timed(one, "SELECT 1") for _ in range(DELAYS)])
            late = [await timed(one, "SELECT 1 /* late */") - plain - DELAY_MS for _ in range(DELAYS)]
            found["delay_off_p50_ms"] = round(statistics.median(late), 3)
            found["delay_off_p95_ms"] = round(sorted(late)[int(DELAYS * 0.95)], 3)
            failed = 0
            for _ in range(SHARE_QUERIES):
                try:
                    await one.execute("SELECT 1 /* poison */")
                except psycopg.errors.QueryCanceled:
                    failed += 1
    found["share_measured"] = failed / SHARE_QUERIES
    found["share_bound"] = round(3.9 * math.sqrt(SHARE * (1 - SHARE) / SHARE_QUERIES), 4)
    return found


async def timed(one: psycopg.AsyncConnection, text: str) -> float:
    began = time.perf_counter()
    await one.execute(text)
    return (time.perf_counter() - began) * 1000


async def measure(seconds: int) -> dict[str, object]:
    with temporary_site(prefix="dbre-bench-") as site, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        server = PostgresServer("bench", site, binaries=binaries)
        await server.start()
        try:
            async with await server.connect() as admin:
                await admin.execute(
                    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))"
                )
                await admin.execute("INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) AS n")
                await admin.execute("CREATE TABLE pgbench_branches (bid int)")
                await admin.execute("INSERT INTO pgbench_branches VALUES (1)")
            listener, behind = source()
            stack.callback(listener.close)
            result = await asyncio.to_thread(_speeds, stack, server, behind, Path(folder), seconds)
            return result | await exactness(server)
        finally:
            await server.destroy()


def _speeds(stack: ExitStack, server: PostgresServer, behind: int, folder: Path, seconds: int) -> dict[str, object]:
    wire = ("--engine", "postgresql")
    armed = [
        each for one in ("latency,unit=query,toxicity=0,latency=99", "error,unit=query,toxicity=0") for each in ("--toxic", one)
    ]
    ports: dict[str, tuple[int, int | None]] = {"direct": (server.address.port, None)}
    bulks: dict[str, tuple[int, int | None]] = {"direct": (behind, None)}
    for name, make in (
        ("splice", lambda port, to: own(port, to)),
        ("wire", lambda port, to: own(port, to, *wire)),
        ("wire_armed", lambda port, to: own(port, to, *wire, *armed)),
        ("bytes", lambda port, to: own(port, to, "--toxic", "latency,latency=0")),
        ("haproxy", lambda port, to: haproxy(port, to, folder)),
        ("nginx", lambda port, to: nginx(port, to, folder)),
        ("toxiproxy", lambda port, to: toxiproxy(port, to, folder)),
    ):
        port = choose_port()
        words = make(port, server.address.port)
        if words is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        ports[name] = (port, stack.enter_context(program(words, port)))
        if not name.startswith("wire"):
            port = choose_port()
            bulks[name] = (port, stack.enter_context(program(make(port, behind), port)))
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for clients in (1, 16):
            for name, (port, pid) in ports.items():
                key = f"tps_c{clients}_{name}"
                speed, cost = tps(server, port, pid, clients, seconds)
                best[key] = max(best.get(key, 0.0), round(speed))
                key = f"cpu_us_c{clients}_{name}"
                best[key] = min(best.get(key, 1e6), round(cost, 1))
        for name, (port, pid) in bulks.items():
            speed, cost = bulk(port, pid)
            best[f"gb_per_s_{name}"] = max(best.get(f"gb_per_s_{name}", 0.0), round(speed, 2))
            best[f"cpu_s_per_gb_{name}"] = min(best.get(f"cpu_s_per_gb_{name}", 99.0), round(cost, 3))
    return dict(best)


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    result = asyncio.run(measure(seconds))
    number = {key: float(str(value)) for key, value in result.items()}
    for what, over, under in (("framing", "wire", "splice"), ("arming", "wire_armed", "wire")):
        for unit, sign in (("tps", -1), ("cpu_us", 1)):
            share = sign * (number[f"{unit}_c16_{over}"] / max(number[f"{unit}_c16_{under}"], 0.1) - 1)
            result[f"{what}_costs_{unit}_percent"] = round(100 * share, 1)
    limits = {
        "as_fast_as_haproxy": number["tps_c16_splice"] >= number.get("tps_c16_haproxy", 0.0) * SAME,
        "splice_is_cheap": number["cpu_s_per_gb_splice"] <= MOST_CPU_PER_GB,
        "frames_are_cheap": number["tps_c16_wire"] >= number["tps_c16_splice"] * (1 - MOST_OVERHEAD),
        "armed_is_cheap": number["tps_c16_wire_armed"] >= number["tps_c16_wire"] * (1 - MOST_OVERHEAD),
        "delay_is_exact": abs(number["delay_off_p50_ms"]) <= MOST_OFF_MS and number["delay_off_p95_ms"] <= MOST_OFF_MS,
        "share_is_right": abs(number["share_measured"] - SHARE) <= number["share_bound"],
    }
    return report({**result, **limits, "is_ok": all(limits.values())})


if __name__ == "__main__":
    sys.exit(main())
