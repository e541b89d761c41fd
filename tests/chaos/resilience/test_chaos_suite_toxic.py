"""The suite asks for latency by a fault proxy that stands between clients and the primary, as their configuration says."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from proxy_process_kit import standing_proxy
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from resilience_kit import Installation, RedisPair, until

from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.repository import list_runs
from dbre.core.fleet import Address
from dbre.core.operation.states import OperationState
from dbre.lab.free_port import choose_port

pytestmark = [pytest.mark.slow, pytest.mark.soak]
_LATE_SECONDS = 0.3


def told_how(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """``chaos`` of a configuration in which latency is asked for by a toxic."""
    entry = {"fault": "toxic", "parameters": {"toxic": f"latency,unit=query,latency={_LATE_SECONDS * 1000:.0f}", **parameters}}
    suite = {"name": "fast", "for": "3s", "pause": "100ms", "recovery": "60s", "entries": {"latency": entry}, **more}
    return {"suites": [suite]}


@asynccontextmanager
async def shopping(endpoint: Address, pair: RedisPair) -> AsyncIterator[list[float]]:
    """A client at the endpoint, and how long each of its answers took."""
    took: list[float] = []

    async def work() -> None:
        password, once = pair.primary.password.reveal(), Retry(NoBackoff(), 0)
        async with Redis(host=endpoint.host, port=endpoint.port, password=password, retry=once) as client:
            while True:
                began = time.monotonic()
                with suppress(RedisError, OSError):
                    await client.incr("shop")
                    took.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield took
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def asked(installation: Installation) -> dict[str, Any]:
    """What was observed while the suite asked for latency, and nothing else."""
    record = await installation.run("chaos.suite", {"cluster": "orders", "only": ["latency"]})
    assert record.state is OperationState.SUCCEEDED, record.error
    async with installation.application.open_store() as store, store.read() as connection:
        (run,) = await list_runs(connection, suite_id=record.id)
    assert run.state is RunState.HELD
    assert [(one["fault"], one["is_reverted"]) for one in run.observed["faults"]] == [("toxic", True)]
    return dict(run.observed)


async def test_at_a_proxy_that_stands_in_the_way_of_clients(
    installation: Installation, redis_pair: RedisPair, tmp_path: Path
) -> None:
    async with standing_proxy(redis_pair.primary, tmp_path) as proxy, shopping(proxy.address, redis_pair) as took:
        place = {"proxy": "pg", "api": str(proxy.api), "token_file": str(proxy.token_file)}
        installation.write(endpoint=str(proxy.address), **told_how(place, clients={"rate": 20}))
        observed = await asked(installation)
        count = len(took)
        await until(lambda: any(one < _LATE_SECONDS for one in took[count:]))  # the toxic is off, and the proxy still there
    assert max(took) >= _LATE_SECONDS
    assert (observed["clients"]["verdict"], observed["clients"]["lost"]) == ("ok", 0)
    assert observed["clients"]["p99_seconds"] >= _LATE_SECONDS  # they go where the configuration sends clients


async def test_at_a_proxy_that_is_there_for_as_long_as_the_fault(installation: Installation, redis_pair: RedisPair) -> None:
    endpoint = Address("127.0.0.1", choose_port())
    async with shopping(endpoint, redis_pair) as took:
        installation.write(endpoint=str(endpoint), **told_how({"listen": str(endpoint)}))
        await asked(installation)
        count = len(took)
        await asyncio.sleep(1.0)
        assert len(took) == count  # nobody listens there any more
    assert took
    assert min(took) >= _LATE_SECONDS
