"""Counters of a real Prometheus, counted by dbre."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from polling_kit import Sink, fleet, polled
from slo_kit import World

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.polling.documents import PROMETHEUS, PrometheusDocument
from dbre.capabilities.slo.polling.prometheus import PrometheusPoller
from dbre.capabilities.slo.sources import PrometheusSource
from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.lab.prometheus import PrometheusServer
from dbre.testing.clock import FakeClock
from dbre.tools.prometheus import PrometheusClient, QueryRefused, ServerAccess

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
SOURCE = PrometheusSource(
    prometheus="main",
    bad='p8_requests_total{code=~"5..",db="{cluster}"}',
    total='p8_requests_total{db="{cluster}"}',
    group_label="tenant",
)


def _history() -> tuple[str, dict[str, tuple[int, int]]]:
    """Two hours of three processes, scraped each 15 s: OpenMetrics, and what really happened of each tenant (good, bad).

    Process b begins again after an hour; c begins in the second hour, its first error comes later; for six minutes nobody
    scrapes.
    """
    lines, truth = ["# TYPE p8_requests counter"], {"acme": [0, 0], "zoo": [0, 0]}
    plans = {"a": ("acme", 0, 480, None), "b": ("zoo", 0, 480, 240), "c": ("zoo", 240, 480, None)}
    samples: dict[str, list[str]] = {}
    for process, (tenant, first, last, restart) in plans.items():
        good = bad = 0
        for index in range(first, last + 1):
            more_good, more_bad = 3 + index % 4, int((process == "c" and index == 300) or (process == "a" and index % 40 == 39))
            if index == restart:
                good = bad = 0
            if index > first:  # what a new process has counted before its first scrape belongs to no slot
                truth[tenant][0] += more_good
                truth[tenant][1] += more_bad
            good, bad = good + more_good, bad + more_bad
            if 100 <= index < 124:
                continue
            at = BEGIN.timestamp() + 15 * index
            for code, value in (("200", good), ("500", bad)):
                if value or code == "200":
                    labels = f'job="api",instance="{process}",db="orders",tenant="{tenant}",code="{code}"'
                    samples.setdefault(labels, []).append(f"p8_requests_total{{{labels}}} {value} {at:.0f}")
    for found in samples.values():
        lines += found
    return "\n".join([*lines, "# EOF", ""]), {name: (good, bad) for name, (good, bad) in truth.items()}


HISTORY, TRUTH = _history()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def told(prometheus: PrometheusServer) -> AsyncIterator[PrometheusServer]:
    await prometheus.backfill(HISTORY)
    yield prometheus


def server(url: str, **more: object) -> PrometheusDocument:
    return PrometheusDocument.model_validate({"name": "main", "url": url, **more})


def poller(url: str, sink: Sink, clock: FakeClock, **more: object) -> PrometheusPoller:
    return PrometheusPoller([polled(SOURCE)], fleet(), [server(url, **more)], sink=sink, clock=clock)


async def _poll_until(url: str, sink: Sink, clock: FakeClock, end: datetime, *, each: float) -> None:
    one = poller(url, sink, clock)
    while clock.now() < end:
        await one.poll_once()
        clock.step_wall(each)
    await one.poll_once()
    assert [source.error for source in one.sources] == [None]


async def test_every_event_is_counted_once_over_resets_gaps_new_series_and_restarts_of_dbre(told: PrometheusServer) -> None:
    sink, end = Sink(), BEGIN + timedelta(hours=2, minutes=1)
    clock = FakeClock(BEGIN + timedelta(seconds=30))
    for stop in (20, 47, 61, 76, 121):  # a new process each time; it goes on where the mark is
        await _poll_until(told.url, sink, clock, min(BEGIN + timedelta(minutes=stop), end), each=170)
    whole = {group: sink.total(group) for group in ("acme", "zoo")}
    assert {group: (one.good, one.bad) for group, one in whole.items()} == TRUTH
    assert set(sink.slots) == {("polled", "orders", "acme"), ("polled", "orders", "zoo")}
    assert ("polled", "orders") in sink.heard_of


async def test_an_outage_of_dbre_is_made_up_for_in_one_go_and_slots_are_the_same(told: PrometheusServer) -> None:
    live, late = Sink(), Sink()
    end = BEGIN + timedelta(minutes=90, seconds=30)
    await _poll_until(told.url, live, FakeClock(BEGIN + timedelta(seconds=30)), end, each=60)
    first = FakeClock(BEGIN + timedelta(seconds=30))
    await poller(told.url, late, first).poll_once()
    await poller(told.url, late, FakeClock(end)).poll_once()  # an hour and a half later
    assert late.slots == live.slots


async def test_more_than_the_backfill_is_left_out_and_the_mark_moves_on(told: PrometheusServer) -> None:
    sink = Sink()
    await poller(told.url, sink, FakeClock(BEGIN + timedelta(seconds=30))).poll_once()
    await poller(told.url, sink, FakeClock(BEGIN + timedelta(hours=2)), backfill="10m").poll_once()
    slots = sorted(sink.slots["polled", "orders", "acme"])
    assert slots[0] >= (BEGIN + timedelta(hours=1, minutes=49)).timestamp() // 10
    assert str(int((BEGIN + timedelta(hours=2, seconds=-30)).timestamp())) in next(iter(sink.marks.values()))


async def test_a_source_without_any_series_is_not_heard_of_and_one_without_traffic_is(told: PrometheusServer) -> None:
    sink, clock = Sink(), FakeClock(BEGIN + timedelta(minutes=70))
    missing = PrometheusSource(prometheus="main", bad="p8_absent_total", total="p8_absent_total")
    idle = PrometheusSource(
        prometheus="main",
        bad="p8_absent_total",
        total='p8_requests_total{code="500",instance="b"} or p8_requests_total{instance="a",code="500"}',
    )
    definitions = [polled(missing, name="missing"), polled(idle, name="idle")]
    one = PrometheusPoller(definitions, fleet(), [server(told.url)], sink=sink, clock=clock)
    await one.poll_once()
    clock.step_wall(30)
    await one.poll_once()
    assert set(sink.heard_of) == {("idle", "orders")}
    assert all(source.error is None for source in one.sources)


async def test_a_server_that_is_away_is_waited_for_and_nothing_is_lost(told: PrometheusServer) -> None:
    sink, clock = Sink(), FakeClock(BEGIN + timedelta(minutes=1))
    one = poller(told.url, sink, clock, timeout="1s")
    await one.poll_once()
    await told.freeze()
    try:
        clock.step_wall(600)
        await one.poll_once()
        assert "did not answer within 1 s" in str(one.sources[0].error)
        assert sink.total("acme") == Counts()
    finally:
        await told.thaw()
    for _ in range(20):
        await one.poll_once()
        if one.sources[0].error is None:
            break
    assert one.sources[0].error is None
    assert sink.total("acme").total > 100


async def test_errors_of_the_server_are_told_apart(told: PrometheusServer) -> None:
    client = PrometheusClient(ServerAccess(url=told.url))
    try:
        with pytest.raises(QueryRefused, match=r"answers 400.*parse error"):
            await client.instant("sum(", at=BEGIN)
        (found,) = await client.instant("vector(1) / 0", at=BEGIN)
        assert found.points == ((BEGIN.timestamp(), float("inf")),)
        (nothing,) = await client.instant("vector(0) / 0", at=BEGIN)
        assert nothing.points == ()
        with pytest.raises(ValueError, match="11000"):
            await client.range("up", start=BEGIN, end=BEGIN + timedelta(days=30), step_seconds=1)
        with pytest.raises(Unreachable, match="scalar"):
            await client.instant("1", at=BEGIN)
    finally:
        await client.aclose()


@contextlib.asynccontextmanager
async def answering(status: int, body: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, b"no entry", Denied, "answers 401: no entry"),
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', Unreachable, "query timed out"),
        (422, b'{"status":"error","error":"many-to-many\\u001b[2J"}', QueryRefused, r"many-to-many\\x1b"),
        (200, b"<html>", Unreachable, "something else"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[{"values":1}]}}', Unreachable, "something else"),
        (302, b"", Unreachable, "answers 302"),
    ],
)
async def test_answers_that_are_none_are_errors_that_say_so(status: int, body: bytes, kind: type, said: str) -> None:
    async with answering(status, body) as url:
        client = PrometheusClient(ServerAccess(url=url, timeout_seconds=20))
        try:
            with pytest.raises(kind, match=said):
                await client.instant("up", at=BEGIN)
        finally:
            await client.aclose()


def test_an_slo_of_a_server_that_is_not_configured_is_refused_with_a_guess() -> None:
    document = PrometheusDocument.model_validate({"name": "mail", "url": "http://a.example"})
    with pytest.raises(UsageError, match="asks the server main") as caught:
        PrometheusPoller([polled(SOURCE)], fleet(), [document], sink=Sink(), clock=FakeClock(BEGIN))
    assert caught.value.hint == "did you mean mail?"
    (fault,) = PROMETHEUS.faults([{"name": "a"}, {"name": "a"}])
    assert fault.path == (1, "name")


async def test_the_engine_stores_counts_and_marks_together_and_goes_on_after_a_crash(
    told: PrometheusServer, sqlite_store: Store
) -> None:
    start, middle = BEGIN + timedelta(seconds=30), BEGIN + timedelta(minutes=50)
    world = World(sqlite_store, clock=FakeClock(start), definitions=(polled(SOURCE),), fleet=fleet())
    await world.engine.tick()

    async def poll(until: datetime) -> None:
        one = PrometheusPoller([polled(SOURCE)], fleet(), [server(told.url)], sink=world.engine, clock=world.clock)
        await one.poll_once()
        world.clock.step_wall((until - world.clock.now()).total_seconds())
        await one.poll_once()

    await poll(middle)
    await world.engine.tick()
    world.clock.step_wall(600)
    await PrometheusPoller([polled(SOURCE)], fleet(), [server(told.url)], sink=world.engine, clock=world.clock).poll_once()
    world.start()  # what was counted since the last tick is lost with the process, and so is its mark
    await world.engine.tick()
    await poll(BEGIN + timedelta(hours=2, minutes=1))
    await world.engine.tick()
    counted = {one.group: (one.good, one.bad) for one in await world.engine.status()}
    assert {name: counted[name] for name in TRUTH} == TRUTH
    assert counted[""] == tuple(map(sum, zip(*TRUTH.values(), strict=True)))


async def test_tokens_are_sent_and_never_shown() -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for access in (
            ServerAccess(url=url, timeout_seconds=20, token=Secret("t0ken-x")),
            ServerAccess(url=url, timeout_seconds=20, user="ada", password=Secret("pa55-x")),
        ):
            client = PrometheusClient(access)
            with pytest.raises(Denied) as caught:
                await client.instant("up", at=BEGIN)
            await client.aclose()
            assert "-x" not in repr(caught.value.as_document()) + repr(access)
    assert "authorization: bearer t0ken-x" in seen[0].lower()
    assert "authorization: basic " in seen[1].lower()
