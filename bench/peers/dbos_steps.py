"""What a durable step costs with DBOS Transact. Runs in an environment of its own that has `dbos`; prints one line of JSON.

Usage: python dbos_steps.py DATABASE_URL STEPS SEQUENTIAL_WORKFLOWS CONCURRENT_WORKFLOWS CONCURRENCY
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version

from dbos import DBOS


@DBOS.step()
async def nothing(number: int) -> int:
    return number


@DBOS.workflow()
async def walk(steps: int) -> int:
    for number in range(steps):
        await nothing(number)
    return steps


async def measure(steps: int, sequential: int, concurrent: int, concurrency: int) -> dict[str, object]:
    await walk(steps)  # pools and caches are warm
    began = time.perf_counter()
    for _ in range(sequential):
        await walk(steps)
    alone = time.perf_counter() - began
    turns = asyncio.Semaphore(concurrency)

    async def one() -> None:
        async with turns:
            await walk(steps)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(concurrent)))
    together = time.perf_counter() - began
    return {
        "peer": f"dbos {version('dbos')}",
        "step_seconds": alone / (sequential * steps),
        "operation_seconds": alone / sequential,
        "operations_per_second": concurrent / together,
    }


def main() -> None:
    url, *numbers = sys.argv[1:]
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()
    try:
        print(json.dumps(asyncio.run(measure(*(int(one) for one in numbers)))))
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main()
