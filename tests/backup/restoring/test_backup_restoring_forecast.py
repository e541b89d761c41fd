"""Forecasts rest on measured phases, and where nothing was measured they say so."""

from dataclasses import replace
from uuid import UUID

import pytest
from restoring_kit import at, backup_set, catalog, segments

from dbre.capabilities.backup.catalog.phases import RestorePhase
from dbre.capabilities.backup.forecast.model import Forecast, forecast
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.ports.backup.model import CopyKind, Phase, RecoveryTarget, TargetKind

MIB = 2**20


def measured(
    number: int, name: str, seconds: float, size: int | None = None, *, cluster: str = "orders", is_faithful: bool = True
) -> RestorePhase:
    return RestorePhase(
        operation_id=UUID(int=number),
        number=0,
        cluster=cluster,
        engine="postgresql",
        vault="near" if name == "fetch" else None,
        phase=Phase(name=name, seconds=seconds, bytes=size),
        is_faithful=is_faithful,
        at=at(number),
    )


def a_restore(number: int, *, slower: float = 1.0, **given: object) -> list[RestorePhase]:
    """20 MiB/s fetched, 100 MiB/s verified and combined, 8 MiB/s of log; 2 s to start, 1 s to promote."""
    rates = {"fetch": 20, "fetch_log": 8, "verify": 100, "scan": 80, "combine": 100, "replay": 16}
    return [
        *(measured(number, name, slower, rate * MIB, **given) for name, rate in rates.items()),  # type: ignore[arg-type]
        measured(number, "start", 2.0 * slower, **given),  # type: ignore[arg-type]
        measured(number, "promote", 1.0 * slower, **given),  # type: ignore[arg-type]
    ]


@pytest.fixture
def plan() -> RestorePlan:
    """100 MiB, stored as 20 MiB, and 16 MiB of log for each minute from 1.5 to 5."""
    found = catalog(backup_set("a", 1.5, 2.5), logs=segments(range(1, 5)))
    return plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST), now=at(100))


def test_bytes_go_by_the_measured_rate_and_the_sum_gets_a_margin(plan: RestorePlan) -> None:
    found = forecast(plan, a_restore(1))
    expected = {"fetch": 1, "verify": 1, "fetch_log": 8, "scan": 0.7, "combine": 1, "start": 2, "replay": 3.5, "promote": 1}
    assert found.seconds_by_phase == pytest.approx(expected)
    assert found.total_seconds == pytest.approx(1.25 * sum(expected.values()))
    assert found.basis == "1 faithful restore of orders"


def test_the_slow_tenth_of_rates_and_the_long_tenth_of_the_others_count(plan: RestorePlan) -> None:
    history = [phase for number in range(1, 12) for phase in a_restore(number, slower=float(number))]
    found = forecast(plan, history)
    assert found.seconds_by_phase["start"] == pytest.approx(20.0)  # the 10th of 11
    assert found.seconds_by_phase["fetch"] == pytest.approx(10.0)


def test_a_phase_that_was_never_measured_makes_the_sum_unknown(plan: RestorePlan) -> None:
    found = forecast(plan, [one for one in a_restore(1) if one.phase.name not in ("replay", "promote")])
    assert found.total_seconds is None
    assert found.basis.endswith("never measured: replay, promote")
    assert found.known_seconds > 0


def test_nothing_measured_is_no_forecast(plan: RestorePlan) -> None:
    found = forecast(plan, [])
    assert found.total_seconds is None
    assert set(found.seconds_by_phase.values()) == {None}


def test_a_dump_is_forecast_from_dumps_and_files_from_files(plan: RestorePlan) -> None:
    stored = replace(backup_set("d", 1.5, 2.5, has_log=False), kind=CopyKind.LOGICAL)
    dump = plan_restore(catalog(stored), RecoveryTarget(kind=TargetKind.LATEST), now=at(100))
    files = a_restore(1)
    loads = [measured(2, name, 10.0, 100 * MIB if name in ("fetch", "verify", "combine", "load") else None)
             for name in ("fetch", "verify", "combine", "provision", "start", "load", "promote")]  # fmt: skip
    found = forecast(dump, [*files, *loads])
    assert found.seconds_by_phase == pytest.approx(
        {"fetch": 2, "verify": 10, "combine": 10, "provision": 10, "start": 10, "load": 10, "promote": 10}
    )
    assert forecast(plan, [*files, *loads]) == forecast(plan, files)
    assert forecast(dump, files).total_seconds is None
    assert forecast(dump, files).basis.endswith("never measured: fetch, verify, combine, start, load, promote")


def test_a_fast_drill_measures_no_time(plan: RestorePlan) -> None:
    assert forecast(plan, a_restore(1, is_faithful=False)).total_seconds is None


def test_other_clusters_count_where_the_own_was_never_restored(plan: RestorePlan) -> None:
    lent = forecast(plan, a_restore(1, cluster="billing", slower=2.0))
    assert lent.basis == "0 faithful restores of orders and 1 of other clusters"
    assert all("other clusters" in one.basis for one in lent.phases)
    own = forecast(plan, [*a_restore(1, cluster="billing", slower=9.0), *a_restore(2)])
    assert own.seconds_by_phase == forecast(plan, a_restore(2)).seconds_by_phase


def test_the_members_of_one_restore_are_one_measurement(plan: RestorePlan) -> None:
    parts = [measured(1, "fetch", 1.0, 30 * MIB), measured(1, "fetch", 1.0, 10 * MIB)]
    (found,) = (one for one in forecast(plan, parts).phases if one.name == "fetch")
    assert (found.samples, found.bytes_per_second) == (1, 20 * MIB)


def test_a_longer_chain_takes_longer() -> None:
    def of(count: int) -> Forecast:
        chain = [
            backup_set("a0", 1.5, 2.5),
            *(backup_set(f"a{n}", 1.5 + n, 2.5 + n, parent=f"a{n - 1}") for n in range(1, count)),
        ]
        found = catalog(*chain, logs=segments(range(1, 30)))
        return forecast(plan_restore(found, RecoveryTarget(kind=TargetKind.IMMEDIATE), now=at(100)), a_restore(1))

    totals = [of(count).total_seconds or 0.0 for count in (1, 3, 6)]
    assert totals == sorted(totals)
    assert totals[0] < totals[2]
