"""What drills measure, and what they say later: arithmetic and rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dbre.capabilities.ha.drills.config_document import DrillDocument
from dbre.capabilities.ha.drills.document import Changer, DrillKind
from dbre.capabilities.ha.drills.faults import faults_of
from dbre.capabilities.ha.drills.findings import drill_findings, standings
from dbre.capabilities.ha.drills.measures import RunMeasures, distribution, problems_of
from dbre.capabilities.ha.drills.predicting import predicted
from dbre.capabilities.ha.drills.repository import StoredRun
from dbre.capabilities.ha.drills.summary import summary_of
from dbre.capabilities.ha.drills.view import drill_view
from dbre.core.errors import ExitCode, UsageError
from dbre.core.fleet import Address, Cluster, Instance, TlsMode
from dbre.ports.lease_settings import PRESETS

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUN = RunMeasures(
    number=1,
    kind="node-loss",
    by="patroni",
    old_primary="n1",
    new_primary="n2",
    began_at=NOW.isoformat(),
    outage_seconds=10.0,
    lost=0,
    old_acknowledged=0,
    overlap=0,
    verdict="ok",
    predicted_most_seconds=23.0,
)


def cluster(**hosts: str) -> Cluster:
    return Cluster(
        name="shop",
        environment="test",
        engine="postgresql",
        instances=tuple(Instance(name=name, cluster="shop", address=Address(host, 5432)) for name, host in hosts.items()),
        endpoints=(),
        databases=(),
        user="dbre",
        password=None,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


@pytest.mark.parametrize(
    ("count", "ranks"), [(1, None), (5, None), (6, (0, 5)), (9, (1, 7)), (20, (5, 14))], ids=["1", "5", "6", "9", "20"]
)
def test_the_median_lies_within_its_interval(count: int, ranks: tuple[int, int] | None) -> None:
    """The ranks are those of the tables of the sign test."""
    found = distribution([float(one) for one in reversed(range(count))])
    assert found.interval == (None if ranks is None else tuple(map(float, ranks)))
    assert found.most == count - 1


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, None),
        ({"lost": 3}, "3 acknowledged writes lost"),
        ({"old_acknowledged": 2}, "2 writes acknowledged by n1 after the promotion"),
        ({"overlap": 1}, "after a new one had begun"),
        ({"outage_seconds": 30.0}, "the settings promise 23.0s"),
        ({"is_outage_open": True}, "until the end"),
        ({"verdict": "unknown"}, "could not be judged"),
        ({"outage_seconds": None}, "could not be judged"),
        ({"outage_seconds": None, "failure": "nobody was promoted"}, "the run failed: nobody was promoted"),
    ],
    ids=["good", "lost", "two-primaries", "overlap", "late", "open", "unknown", "unmeasured", "failed"],
)
def test_what_a_run_showed(changed: dict[str, Any], word: str | None) -> None:
    found = problems_of(replace(RUN, **changed))
    assert (found == []) if word is None else any(word in one for one in found)
    assert RunMeasures.of(replace(RUN, **changed).document() | {"later": 1}) == replace(RUN, **changed)


def test_runs_that_failed_are_counted_and_measure_nothing() -> None:
    failed = replace(RUN, number=2, new_primary=None, outage_seconds=None, lost=None, failure="nobody was promoted")
    found = drill_view([RUN, failed, replace(RUN, number=3, outage_seconds=12.0)], operation="x")
    assert found.exit_code == ExitCode.FINDINGS
    assert found.notes[0] == "1 of 3 runs failed: 2"
    assert "2 runs: outage p50 10.0s" in found.notes[1]
    assert "not known of" not in found.notes[2]
    (only,) = drill_view([failed], operation="x", code=ExitCode.FAILED).notes[:1]
    assert only == "1 of 1 run failed: 2"
    stored = [StoredRun(operation_id=UUID(int=1), cluster="shop", began_at=NOW, run=one) for one in (RUN, failed)]
    together = summary_of(stored)
    assert (together.failed, together.unjudged, together.outages.count) == (1, 0, 1)


def test_faults_name_the_right_programs() -> None:
    shop = cluster(n1="10.0.0.1", n2="10.0.0.2")
    stores = ["10.0.0.1:2379", "10.0.0.9:2379"]

    def of(kind: DrillKind, agent: str | None = "10.0.0.1:8008") -> list[tuple[str, dict[str, Any]]]:
        found = faults_of(kind, shop, "n1", agent=agent, stores=stores if agent else [])
        return [(one.fault, dict(one.parameters)) for one in found]

    assert of(DrillKind.NODE_LOSS) == [("crash", {"beside": "10.0.0.1:8008", "restart": "same"})]
    assert of(DrillKind.NODE_LOSS, None) == [("crash", {})]
    assert of(DrillKind.PARTITION) == [("partition", {"peers": "n2,10.0.0.9"})]
    assert of(DrillKind.DCS_LOSS) == [("dcs-loss", {"endpoints": "10.0.0.1:2379,10.0.0.9:2379"})]
    assert of(DrillKind.PLANNED) == []
    for kind in (DrillKind.PATRONI_FREEZE, DrillKind.DCS_LOSS):
        with pytest.raises(UsageError, match="needs a cluster that Patroni runs"):
            of(kind, None)


def test_only_leases_promise_an_end() -> None:
    def most(kind: DrillKind, by: Changer, preset: str = "lan-fast") -> float | None:
        found = predicted(kind, by, PRESETS[preset], deadline_seconds=2.0, connect_seconds=1.0)
        return found.most_seconds if found is not None else None

    assert most(DrillKind.NODE_LOSS, Changer.PATRONI) == 23.0
    assert most(DrillKind.NODE_LOSS, Changer.PATRONI, "safe") == 42.0
    assert most(DrillKind.NODE_LOSS, Changer.DBRE) is None
    assert most(DrillKind.PLANNED, Changer.PATRONI) is None


def test_a_cut_that_takes_the_leader_of_the_store_along_lasts_longer() -> None:
    def most(kind: DrillKind, *, is_beside: bool) -> float | None:
        found = predicted(
            kind,
            Changer.PATRONI,
            PRESETS["lan-fast"],
            deadline_seconds=2.0,
            connect_seconds=1.0,
            has_store_leader_beside=is_beside,
        )
        return found.most_seconds if found is not None else None

    for kind in (DrillKind.PARTITION, DrillKind.BLACK_HOLE):
        assert (most(kind, is_beside=False), most(kind, is_beside=True)) == (23.0, 30.0)
    assert most(DrillKind.FREEZE, is_beside=True) == 23.0  # the store goes on


def test_drills_age_and_drift() -> None:
    shop, limit = "shop", timedelta(days=90)

    def told(*runs: StoredRun, now: datetime = NOW, preset: str = "lan-fast") -> list[str]:
        promise = predicted(DrillKind.NODE_LOSS, Changer.PATRONI, PRESETS[preset], deadline_seconds=2.0, connect_seconds=1.0)
        assert promise is not None
        found = standings(runs, {"node-loss": promise})
        return [one.rule for one in drill_findings(shop, found, now=now, max_age=limit)]

    stored = StoredRun(operation_id=UUID(int=1), cluster=shop, began_at=NOW, run=RUN)
    assert told() == ["ha.drill_never"]
    assert told(stored) == []
    assert told(stored, now=NOW + timedelta(days=91)) == ["ha.drill_old"]
    assert told(stored, preset="safe") == ["ha.drill_drift"]
    lossy = replace(stored, run=replace(RUN, number=2, lost=5))
    assert told(stored, lossy) == ["ha.drill_problem"]


def test_production_is_not_drilled_unless_somebody_says_so() -> None:
    assert not DrillDocument.model_validate({}).allows("production")
    assert DrillDocument.model_validate({}).allows("staging")
    assert DrillDocument.model_validate({"allowed": True}).allows("production")
    assert not DrillDocument.model_validate({"allowed": False}).allows("staging")
