"""Messages through real brokers: what is sent, in which order it comes, and what happens where the broker is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from broker_kit import Broker
from kombu import Connection

from dbre.core.clock import SystemClock
from dbre.core.operation.celery_dispatch.application import make_application, zone_queue
from dbre.core.operation.celery_dispatch.consumer import CeleryConsumer
from dbre.core.operation.celery_dispatch.publisher import CeleryDispatcher, check_broker
from dbre.core.operation.dispatch import Due
from dbre.core.secrets import Secret

Handler = Callable[[UUID, int], Awaitable[None]]


@asynccontextmanager
async def publisher(broker: Broker) -> AsyncIterator[CeleryDispatcher]:
    one = CeleryDispatcher(broker.document, broker.password, SystemClock())
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def consumer(broker: Broker, handler: Handler, *, zone: str, concurrency: int = 4) -> AsyncIterator[CeleryConsumer]:
    one = CeleryConsumer(
        broker.document, broker.password, SystemClock(), handler, zone=zone, name=f"w-{zone}", concurrency=concurrency
    )
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        one.stop_taking()
        await one.join()
        task.cancel()


def due(zone: str, priority: int = 4) -> Due:
    return Due(operation_id=uuid4(), zone=zone, priority=priority)


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (another thread changes it)
            await asyncio.sleep(0.02)


def waiting(broker: Broker, zone: str) -> list[dict[str, object]]:
    """Take every message out of a queue, and give what each holds."""
    found = []
    with make_application(broker.document, broker.password).connection_for_read() as connection:
        queue = zone_queue(zone)(connection.default_channel)
        queue.declare()
        while (message := queue.get(no_ack=True)) is not None:
            body = message.body if isinstance(message.body, str) else bytes(message.body).decode()
            found.append({"body": json.loads(body), "headers": message.headers, "type": message.content_type})
    return found


async def test_a_message_holds_the_id_and_nothing_else_of_the_operation(broker: Broker) -> None:
    one = due("content")
    async with publisher(broker) as dispatcher:
        await dispatcher.dispatch(one.operation_id, zone=one.zone, priority=9)
    (message,) = await asyncio.to_thread(waiting, broker, "content")
    args, kwargs, _ = message["body"]
    assert (args, kwargs) == ([str(one.operation_id)], {})
    assert message["type"] == "application/json"
    assert message["headers"]["task"] == "dbre.run_operation"


async def test_operations_reach_the_workers_of_their_zone_only(broker: Broker) -> None:
    got: list[UUID] = []

    async def handle(operation_id: UUID, _: int) -> None:
        got.append(operation_id)

    mine, other = [due("here") for _ in range(20)], due("elsewhere")
    async with publisher(broker) as dispatcher, consumer(broker, handle, zone="here"):
        assert await dispatcher.carry([*mine, other]) == []
        await until(lambda: len(got) >= 20)
        await asyncio.sleep(0.3)
    assert sorted(got) == sorted(one.operation_id for one in mine)
    assert len(await asyncio.to_thread(waiting, broker, "elsewhere")) == 1


async def test_the_most_urgent_come_first(broker: Broker) -> None:
    got: list[UUID] = []

    async def handle(operation_id: UUID, _: int) -> None:
        got.append(operation_id)
        await asyncio.sleep(0.01)

    sent = [due("order", priority) for priority in (0, 4, 9, 4, 0, 9, 7)]
    async with publisher(broker) as dispatcher:
        await dispatcher.carry(sent)
        async with consumer(broker, handle, zone="order", concurrency=1):
            await until(lambda: len(got) == len(sent))
    by_id = {one.operation_id: one.priority for one in sent}
    assert [by_id[one] for one in got] == [9, 9, 7, 4, 4, 0, 0]


async def test_a_worker_takes_no_more_than_it_runs_and_acknowledges_at_once(broker: Broker) -> None:
    running, most, done = 0, 0, 0

    async def handle(operation_id: UUID, _: int) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        done += 1

    sent = [due("pace") for _ in range(60)]
    async with publisher(broker) as dispatcher, consumer(broker, handle, zone="pace", concurrency=4):
        await dispatcher.carry(sent)
        await until(lambda: done >= 1)
        began = asyncio.get_running_loop().time()
        await until(lambda: done >= 60)
        seconds = asyncio.get_running_loop().time() - began
    assert most == 4
    assert seconds < 6, f"60 of 50 ms, four at once, took {seconds:.1f} s: acknowledgements come late"


async def test_what_a_stopped_worker_has_not_taken_stays_in_the_queue(broker: Broker) -> None:
    got: list[UUID] = []

    async def handle(operation_id: UUID, _: int) -> None:
        got.append(operation_id)
        await asyncio.sleep(0.5)

    sent = [due("stay") for _ in range(5)]
    async with publisher(broker) as dispatcher:
        await dispatcher.carry(sent)
        async with consumer(broker, handle, zone="stay", concurrency=1):
            await until(lambda: len(got) == 1)
        left = await asyncio.to_thread(waiting, broker, "stay")
    assert len(got) + len(left) >= 5
    assert len(got) <= 2


async def test_a_message_that_is_no_operation_is_dropped(broker: Broker) -> None:
    got: list[UUID] = []

    async def handle(operation_id: UUID, _: int) -> None:
        got.append(operation_id)

    application = make_application(broker.document, broker.password)
    real = due("odd")

    def send() -> None:
        for args in (["../../etc/passwd"], [{"a": 1}], [], [17]):
            application.send_task("dbre.run_operation", args=args, queue=zone_queue("odd"), declare=[zone_queue("odd")])
        application.send_task("somebody.elses", args=[1], queue=zone_queue("odd"))
        application.close()

    await asyncio.to_thread(send)
    async with publisher(broker) as dispatcher, consumer(broker, handle, zone="odd"):
        await dispatcher.carry([real])
        await until(lambda: got == [real.operation_id])


async def test_a_broker_that_refuses_the_password_is_told_of(broker: Broker) -> None:
    reason = await asyncio.to_thread(check_broker, broker.document, Secret("wrong-password"))
    assert reason is not None
    assert "wrong-password" not in reason
    assert await asyncio.to_thread(check_broker, broker.document, broker.password) is None


@pytest.mark.slow
async def test_a_frozen_broker_holds_up_nobody_and_is_used_again_later(broker: Broker) -> None:
    first, second = due("frozen"), due("frozen")
    async with publisher(broker) as dispatcher:
        assert await dispatcher.carry([first]) == []
        await broker.server.freeze()
        try:
            began, ticks = asyncio.get_running_loop().time(), 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.01)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            left = await dispatcher.carry([second])
            seconds = asyncio.get_running_loop().time() - began
            ticking.cancel()
            assert left == [second]
            assert seconds < 7
            assert ticks > 20 * seconds, "the event loop stood still"
            assert dispatcher.problem is not None
            assert dispatcher.room == 0
        finally:
            await broker.server.thaw()
        async with asyncio.timeout(20):
            while not dispatcher.room or await dispatcher.carry([second]):  # noqa: ASYNC110 (time makes room)
                await asyncio.sleep(0.1)
        assert dispatcher.problem is None


async def test_no_password_is_in_what_the_connection_shows(broker: Broker) -> None:
    application = make_application(broker.document, broker.password)
    connection: Connection = application.connection_for_write()
    shown = f"{connection!r} {connection.as_uri()} {application.conf.humanize()} {application.conf.table()}"
    assert broker.password.reveal() not in shown


@pytest.mark.parametrize("variable", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
async def test_a_variable_of_celery_leads_nowhere_else(broker: Broker, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "amqp://guest@127.0.0.1:1/")
    async with publisher(broker) as dispatcher:
        assert await dispatcher.carry([due("env")]) == []
