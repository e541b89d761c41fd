"""The prober asks every engine the same questions."""

import asyncio

import pytest
from observe_kit import READ, WRITE, cluster_on, probing

from dbre.ports.probe import Outcome

GOOD, BAD = Outcome.GOOD, Outcome.BAD


@pytest.fixture(params=["mariadb", "redis_server"])
def server(request):
    return request.getfixturevalue(request.param)


async def test_a_frozen_server_is_bad_and_good_again(server):
    async with probing(cluster_on("orders", [server], [WRITE, READ]), fresh_every=2) as record:
        await record.until(lambda: record.outcomes("orders").count(GOOD) >= 3 and GOOD in record.outcomes("orders", READ))
        await server.freeze()
        try:
            await record.until(lambda: BAD in record.outcomes("orders") and BAD in record.outcomes("orders", READ))
            await asyncio.sleep(1)
        finally:
            await server.thaw()
        await record.until(lambda: record.outcomes("orders")[-1] is record.outcomes("orders", READ)[-1] is GOOD)
    assert {one.code for one in record.of("orders") if one.outcome is BAD} == {"timeout"}
    assert {one.outcome for one in record.observations} == {GOOD, BAD}
    assert {one.instance for one in record.of("orders") if one.outcome is GOOD} == {"orders-1"}
    assert record.kinds("orders/write") == ["observe.endpoint_bad", "observe.endpoint_good"]
