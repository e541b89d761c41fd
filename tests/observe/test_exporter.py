"""``/metrics`` against real servers that run, hang and die. A scrape never waits for any of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

from observe_kit import cluster, cluster_on, listener, refusing
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from dbre.app import Engines
from dbre.capabilities.observe import Exporter, ExporterDocument
from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet

OPEN = "application/openmetrics-text; version=1.0.0"


class Scrapes:
    """A running exporter, asked as Prometheus asks."""

    def __init__(self, exporter: Exporter) -> None:
        self.exporter = exporter

    def values(self) -> dict[tuple[str, str | None], float]:
        """Sample name and ``instance`` label (or collector, for the collectors' own) to value; the last of several."""
        page, _ = self.exporter.render()
        return {(s.name, s.labels.get("instance")): s.value for family in parse_text(page.decode()) for s in family.samples}

    def collector(self, name: str) -> dict[str, float]:
        page, _ = self.exporter.render()
        return {
            s.labels["collector"]: s.value for family in parse_text(page.decode()) for s in family.samples if s.name == name
        }

    async def until(self, holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.exporter.render()[0].decode()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def exporting(*clusters: Cluster, interval: float = 1.0, registries=(), **more: object) -> AsyncIterator[Scrapes]:
    values = {
        "check_interval": timedelta(seconds=interval),
        "connect_timeout": timedelta(seconds=0.5),
        "statement_timeout": timedelta(seconds=0.5),
        "longest_pause": timedelta(seconds=interval),
    }
    exporter = Exporter(
        fleet=Fleet(clusters=clusters),
        engines=Engines(),
        clock=SystemClock(),
        settings=ExporterDocument.model_validate(values | more),
        registries=registries,
    )
    task = asyncio.create_task(exporter.run())
    try:
        yield Scrapes(exporter)
    finally:
        assert not task.done() or task.cancelled(), f"the exporter ended by itself: {task.exception()!r}"
        task.cancel()
        begin = time.monotonic()
        with suppress(asyncio.CancelledError):
            await task
        assert time.monotonic() - begin < 2.0


async def test_a_live_server_shows_its_statistics_in_both_formats(postgres18):
    async with exporting(cluster_on("orders", [postgres18])) as scrapes:
        await scrapes.until(lambda: len(scrapes.collector("dbre_collector_duration_seconds")) > 3)
        page, content_type = scrapes.exporter.render(OPEN)
    values = scrapes.values()
    assert values["dbre_up", "orders-1"] == values["pg_up", "orders-1"] == 1
    assert values["pg_stat_database_xact_commit", "orders-1"] > 0
    assert set(scrapes.collector("dbre_collector_success").values()) == {1.0}
    assert min(scrapes.collector("dbre_collector_last_success_timestamp_seconds").values()) > time.time() - 60
    assert content_type.startswith("application/openmetrics-text")
    assert len(list(parse_openmetrics(page.decode()))) > 10


async def test_two_instances_of_one_cluster_share_families(postgres18, postgres15):
    both = cluster_on("orders", [postgres18])
    old = cluster_on("old", [postgres15])
    async with exporting(both, old) as scrapes:
        await scrapes.until(lambda: ("pg_up", "old-1") in scrapes.values() and ("pg_up", "orders-1") in scrapes.values())
        page, _ = scrapes.exporter.render()
    assert page.count(b"# TYPE dbre_up gauge") == 1


async def test_up_is_zero_for_servers_that_refuse_hang_or_do_not_let_us_in(postgres18):
    async with listener() as silent:
        gone = cluster("gone", [refusing()])
        hung = cluster("hung", [silent])
        stranger = cluster("stranger", [postgres18.address], user="nobody_of_that_name")
        async with exporting(gone, hung, stranger) as scrapes:
            wanted = {(f"{name}_up", f"{one}-1") for name in ("dbre", "pg") for one in ("gone", "hung", "stranger")}
            await scrapes.until(lambda: wanted <= scrapes.values().keys())
            assert {scrapes.values()[one] for one in wanted} == {0.0}


async def test_a_server_that_says_what_nobody_expected_is_down_and_ends_nobody_elses_exporter(postgres18, monkeypatch):
    engine = Engines().get("postgresql")

    class Strange:
        async def identify(self) -> None:
            raise ValueError("version 'seventeen and a half'")

    real = type(engine).connect

    def connect(self, access):
        server = real(self, access)
        return replace(server, session=Strange()) if access.address.port != postgres18.address.port else server

    monkeypatch.setattr(type(engine), "connect", connect)
    async with exporting(cluster("odd", [refusing()]), cluster_on("orders", [postgres18])) as scrapes:
        await scrapes.until(lambda: scrapes.values().get(("dbre_up", "orders-1")) == 1)
        await scrapes.until(lambda: scrapes.values().get(("dbre_up", "odd-1")) == 0)


async def test_a_frozen_server_is_down_in_time_its_old_samples_vanish_and_scrapes_stay_quick(fresh_postgres):
    async with exporting(cluster_on("orders", [fresh_postgres])) as scrapes:
        await scrapes.until(lambda: 1.0 in scrapes.collector("dbre_collector_success").values())
        for collection in scrapes.exporter._collections:
            for state in collection._collectors.values():
                state.interval = 1.0  # so that samples grow old within the test
                state.due = 0.0
        await asyncio.sleep(1.5)
        success_at = scrapes.collector("dbre_collector_last_success_timestamp_seconds")
        await fresh_postgres.freeze()
        try:
            await scrapes.until(lambda: scrapes.values()["dbre_up", "orders-1"] == 0, seconds=5)
            await asyncio.sleep(2.1)
            slowest = 0.0
            for _ in range(50):
                begin = time.perf_counter()
                scrapes.exporter.render(OPEN)
                slowest = max(slowest, time.perf_counter() - begin)
                await asyncio.sleep(0.01)
            names = {name for name, _ in scrapes.values()}
            assert not any(name.startswith("pg_") for name in names - {"pg_up"}), names
            assert set(scrapes.collector("dbre_collector_success").values()) == {0.0}
            later = scrapes.collector("dbre_collector_last_success_timestamp_seconds")
            assert later.keys() == success_at.keys()
            assert all(later[name] >= success_at[name] > 0 for name in later)
            assert slowest < 0.1
        finally:
            await fresh_postgres.thaw()
        await scrapes.until(lambda: scrapes.values()["dbre_up", "orders-1"] == 1, seconds=10)
        await scrapes.until(lambda: any(name.startswith("pg_stat_") for name, _ in scrapes.values()))


async def test_a_killed_server_is_down_and_up_again_after_its_restart(fresh_postgres):
    async with exporting(cluster_on("orders", [fresh_postgres])) as scrapes:
        await scrapes.until(lambda: scrapes.values().get(("dbre_up", "orders-1")) == 1)
        await fresh_postgres.kill()
        await scrapes.until(lambda: scrapes.values()["dbre_up", "orders-1"] == 0)
        await fresh_postgres.start()
        await scrapes.until(lambda: scrapes.values()["dbre_up", "orders-1"] == 1)


async def test_an_instance_costs_one_connection_also_while_it_hangs_and_none_afterwards(fresh_postgres):
    count = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name LIKE 'dbre:exporter%'"
    seen = []
    async with await fresh_postgres.connect() as watcher:

        async def connections() -> int:
            return (await (await watcher.execute(count)).fetchone())[0]

        async with exporting(cluster_on("orders", [fresh_postgres])) as scrapes:
            await scrapes.until(lambda: 1.0 in scrapes.collector("dbre_collector_success").values())
            await fresh_postgres.freeze()
            await asyncio.sleep(3)
            await fresh_postgres.thaw()
            await scrapes.until(lambda: scrapes.values()["dbre_up", "orders-1"] == 1)
            for _ in range(15):
                await asyncio.sleep(0.1)
                seen.append(await connections())
        assert seen[-1] == 1, seen
        for _ in range(50):
            if not (left := await connections()):
                break
            await asyncio.sleep(0.1)
        assert left == 0


async def test_what_the_configuration_switches_off_is_off(postgres18):
    target = cluster_on("orders", [postgres18])
    async with exporting(target, disabled_collectors=("database",), up_aliases={}) as scrapes:
        await scrapes.until(lambda: 1.0 in scrapes.collector("dbre_collector_success").values())
        await asyncio.sleep(0.5)
        assert "database" not in scrapes.collector("dbre_collector_success")
        assert ("pg_up", "orders-1") not in scrapes.values()
    async with exporting(target, enabled=False) as scrapes:
        await asyncio.sleep(0.3)
        assert ("dbre_up", "orders-1") not in scrapes.values()


async def test_registries_of_this_process_are_on_the_page():
    registry = CollectorRegistry()
    counter = Counter("dbre_things", "t", registry=registry)
    counter.inc()
    async with exporting(registries=[registry]) as scrapes:
        await scrapes.until(lambda: scrapes.values().get(("dbre_things_total", None)) == 1)


def test_before_anything_ran_the_page_is_valid_and_claims_nothing():
    exporter = Exporter(
        fleet=Fleet(clusters=(cluster("orders", [refusing()]),)),
        engines=Engines(),
        clock=SystemClock(),
        settings=ExporterDocument(),
    )
    page, _ = exporter.render(OPEN)
    assert [family.name for family in parse_openmetrics(page.decode())] == ["dbre_exporter_dropped_samples"]
