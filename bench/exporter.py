"""How quick ``/metrics`` is while databases hang: 50 instances, 25 of them on a frozen server, and 500 probed endpoints.

A client in a process of its own asks an HTTP server of this process in turn for the page and for a constant of the same bytes;
the latter is the floor. Collectors run all the time, and 50 observations a second change the page, so that it is never the
same twice. Passes if p99 < 20 ms and ``up`` is 0 for the frozen half and 1 for the rest.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import uvicorn
from kit.report import report
from kit.two_servers import fleet_on, quantile, two_servers

from dbre.app import Engines
from dbre.capabilities.observe import Exporter, ExporterDocument
from dbre.core.clock import SystemClock
from dbre.core.fleet import EndpointPurpose
from dbre.core.telemetry import configure_logging
from dbre.ports.probe import Outcome, ProbeObservation

LIVE, FROZEN, ENDPOINTS, SCRAPES, PAUSE_SECONDS = 25, 25, 500, 500, 0.01
LIMIT_SECONDS = 0.020
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


async def keep_changing(exporter: Exporter) -> None:
    """What a prober of 500 endpoints reports: 50 slots a second."""
    number = 0
    while True:
        exporter.probe_metrics.record(
            ProbeObservation(
                cluster=f"endpoint-{number % ENDPOINTS}",
                purpose=EndpointPurpose.WRITE,
                scheduled_at=SystemClock().now(),
                interval_seconds=10.0,
                outcome=Outcome.GOOD,
                latency_seconds=0.004,
            )
        )
        number += 1
        await asyncio.sleep(0 if number < ENDPOINTS else 0.02)


def application(exporter: Exporter, pages: list[bytes], renders: list[float]) -> Callable[..., Awaitable[None]]:
    async def answer(scope: dict[str, Any], _: Any, send: Any) -> None:
        if scope["path"] == "/metrics":
            begin = time.perf_counter()
            body, _ = exporter.render(ACCEPT)
            renders.append(time.perf_counter() - begin)
            pages[:] = [body]
        else:
            body = pages[0]
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    return answer


async def ask(port: int) -> dict[str, list[float]]:
    """The client: one kept connection, the page and the constant in turn; seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    found: dict[str, list[float]] = {"/metrics": [], "/constant": []}
    for number in range(2 * SCRAPES):
        path = list(found)[number % 2]
        begin = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: {ACCEPT}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length")]
        await reader.readexactly(int(length))
        found[path].append(time.perf_counter() - begin)
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()
    return found


async def ask_from_outside(port: int) -> dict[str, list[float]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", str(port), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return dict(json.loads(output))


async def measure() -> dict[str, object]:
    async with two_servers() as (live, frozen):
        exporter = Exporter(
            fleet=fleet_on({live: LIVE, frozen: FROZEN}),
            engines=Engines(),
            clock=SystemClock(),
            settings=ExporterDocument(check_interval=timedelta(seconds=5)),
        )
        pages: list[bytes] = []
        renders: list[float] = []
        config = uvicorn.Config(
            application(exporter, pages, renders), port=0, log_level="error", lifespan="off", access_log=False
        )
        server = uvicorn.Server(config)
        tasks = [asyncio.create_task(one) for one in (exporter.run(), keep_changing(exporter), server.serve())]
        await asyncio.sleep(8)  # all collectors ran once
        await frozen.freeze()
        await asyncio.sleep(10)  # each check of a frozen instance timed out
        port = server.servers[0].sockets[0].getsockname()[1]
        seconds = await ask_from_outside(port)
        body, _ = exporter.render(ACCEPT)
        await frozen.thaw()
        server.should_exit = True
        for task in tasks[:2]:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
    return summary(seconds, renders, body)


def summary(seconds: dict[str, list[float]], renders: list[float], body: bytes) -> dict[str, object]:
    lines = body.decode().splitlines()
    up = Counter(
        (line.split('instance="')[1].split("-")[0], line.rsplit(" ", 1)[1]) for line in lines if line.startswith("dbre_up{")
    )
    p99, floor = quantile(seconds["/metrics"], 0.99), quantile(seconds["/constant"], 0.99)
    return {
        "benchmark": "exporter",
        "instances": LIVE + FROZEN,
        "frozen": FROZEN,
        "samples": sum(not line.startswith("#") for line in lines),
        "page_bytes": len(body),
        "up": {f"{kind} {value}": count for (kind, value), count in sorted(up.items())},
        "render_p50_seconds": round(quantile(renders, 0.5), 6),
        "render_p99_seconds": round(quantile(renders, 0.99), 6),
        "http_p50_seconds": round(quantile(seconds["/metrics"], 0.5), 6),
        "http_p99_seconds": round(p99, 6),
        "floor_p50_seconds": round(quantile(seconds["/constant"], 0.5), 6),
        "floor_p99_seconds": round(floor, 6),
        "ratio_to_floor": round(p99 / floor, 2),
        "limit_seconds": LIMIT_SECONDS,
        "is_ok": p99 < LIMIT_SECONDS and up == {("live", "1.0"): LIVE, ("frozen", "0.0"): FROZEN},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", type=int, metavar="PORT", help="be the client (used by the benchmark itself)")
    port = parser.parse_args().client
    if port is not None:
        print(json.dumps(asyncio.run(ask(port))))
        return 0
    configure_logging("error", sys.stderr)
    return report(asyncio.run(measure()))


if __name__ == "__main__":
    sys.exit(main())
