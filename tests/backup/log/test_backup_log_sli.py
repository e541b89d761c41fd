"""Exposure as an SLI and as metrics: what nobody knows is bad, and absent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from log_kit import at
from log_plane import CLUSTER, plane, sealed_set, until
from prometheus_client import generate_latest

from dbre.capabilities.backup.exposure.exposure import _of_tier
from dbre.capabilities.backup.exposure.metrics import ExposureMetrics
from dbre.capabilities.backup.exposure.model import Exposure, Tier, TierExposure
from dbre.capabilities.backup.exposure.sli import ExposureSlot, slot_of, slots
from dbre.capabilities.backup.exposure.watch import ExposureWatch
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.origin import find_origin
from dbre.core.telemetry import Metrics
from dbre.lab.postgres import PostgresServer

BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)


def exposed(seconds: float | None, *, after: float = 0.0, cluster: str = CLUSTER) -> Exposure:
    tier = TierExposure(tier=Tier.VAULT, position=at(1, 1), bytes=1, seconds=seconds, reason_unknown=None)
    return Exposure(
        cluster=cluster,
        at=BEGIN + timedelta(seconds=after),
        position=at(1, 2),
        bytes=1,
        seconds=seconds,
        reason_unknown=None,
        tiers=(tier,),
    )


def test_a_clock_that_was_set_back_makes_exposure_unknown_and_never_zero() -> None:
    clock = ClockMap((BEGIN, BEGIN + timedelta(hours=2)), (10, 20))
    told = [_of_tier(Tier.VAULT, at(1, 20), at(1, 30), clock, BEGIN + timedelta(hours=hours)) for hours in (1, 3)]
    assert [(one.bytes, one.seconds) for one in told] == [(10, None), (10, 3600.0)]
    assert "the clock was set back" in (told[0].reason_unknown or "")


def test_each_slot_is_one_event_and_unknown_is_bad() -> None:
    first = slot_of(BEGIN)
    measured = [
        exposed(1.0, after=0),
        exposed(300.0, after=10),
        exposed(300.1, after=20),
        exposed(None, after=30),
        exposed(1.0, after=51),
        exposed(999.0, after=59),
        exposed(1.0, after=60, cluster="another"),
    ]
    found = slots(CLUSTER, measured, first=first, last=first + 6, limit_seconds=300)
    assert [one.is_good for one in found] == [True, True, False, False, False, False, False]
    assert [one.slot for one in found] == list(range(first, first + 7))


async def test_a_watch_tells_every_slot_and_its_metrics_vanish_with_the_server(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    told: list[ExposureSlot] = []
    recorded: list[tuple[str, datetime, float | None]] = []
    async with plane(workplace, [server], cache=server.site.cache) as one:
        watch = ExposureWatch(
            one.ground, take=told.extend, record=lambda cluster, moment, seconds: recorded.append((cluster, moment, seconds))
        )
        metrics = Metrics(version="1")
        ExposureMetrics(metrics, watch)
        await watch.look()  # there is no set: nothing can be recovered, and that is not 0 seconds
        assert recorded[-1][2] is None
        assert not told[-1].is_good
        text = generate_latest(metrics.registry).decode()
        assert "dbre_backup_exposure_seconds{" not in text
        assert 'dbre_backup_recovery_point_objective_seconds{cluster="orders"} 300.0' in text
        async with one.keeping():
            origin = await find_origin(one.ground, one.ground.fleet.cluster(CLUSTER), one.ground.require_policy(CLUSTER))
            start = await origin.port.position(origin.access)
            await sealed_set(one.store, origin.system_id, start, start)

            async def is_known() -> bool:
                await watch.look()
                return recorded[-1][2] is not None and told[-1].is_good  # the slot after the first one

            await until(is_known, "exposure is known")
            assert 'dbre_backup_exposure_seconds{cluster="orders",tier="best"}' in generate_latest(metrics.registry).decode()
        await server.stop()
        await watch.look()
        assert recorded[-1][2] is None
        assert "dbre_backup_exposure_seconds{" not in generate_latest(metrics.registry).decode()
    assert [one.slot for one in told] == sorted({one.slot for one in told})
