"""``dbre slo correct`` as a person runs it, and the corrections that planned operations make by themselves."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from slo_kit import FLEET, START, cluster, definition

from dbre.app import Application
from dbre.capabilities.slo.correction_repository import read_corrections
from dbre.capabilities.slo.corrections.automatic import AutomaticCorrections
from dbre.capabilities.slo.corrections.documents import SloCorrectionsDocument
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.cli import root
from dbre.core.clock import SystemClock
from dbre.core.fleet import Fleet
from dbre.core.ids import uuid7
from dbre.core.operation import tables
from dbre.core.store import open_store

CONFIG = """
state: {url: "sqlite:///state/dbre.db"}
fleet:
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      instances: [{name: orders-1, host: 192.0.2.1}]
slos:
  - name: orders-writes
    selector: {environment: prod}
    sli: {kind: availability}
    target: 99.9%
    window: {rolling: 30d}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    return tmp_path


def run(project: Path, capsys, *words: str) -> tuple[int, dict[str, object]]:
    code = root.main(Application, ["--config", str(project / "dbre.yaml"), *words, "-o", "json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.strip() else {"err": err}


def listed(project: Path, capsys) -> list[dict[str, object]]:
    code, document = run(project, capsys, "slo", "correct", "list")
    assert code == 0, document
    return document["items"]


def test_a_correction_is_planned_made_listed_and_revoked(project: Path, capsys) -> None:
    assert run(project, capsys, "db", "migrate")[0] == 0
    now = datetime.now(UTC)
    times = "--from", (now - timedelta(hours=2)).isoformat(), "--to", (now - timedelta(hours=1)).isoformat()
    words = ("slo", "correct", "add", "orders-writes@orders", *times, "--why", "rehearsed switchover")
    assert run(project, capsys, *words, "--dry-run")[0] == 0
    assert listed(project, capsys) == []
    code, told = run(project, capsys, *words, "--yes")
    assert code == 0, told
    (one,) = listed(project, capsys)
    assert (one["slo"], one["reason"], one["is_revoked"]) == ("orders-writes@orders", "rehearsed switchover", False)
    assert 3600 <= one["seconds"] <= 3660
    code, shown = run(project, capsys, "slo", "show", "orders-writes@orders")
    assert code == 0
    assert shown["item"]["correction"]["corrected_seconds"] == one["seconds"]
    assert run(project, capsys, "slo", "correct", "revoke", str(one["id"]), "--yes")[0] == 0
    assert [row["is_revoked"] for row in listed(project, capsys)] == [True]
    code, again = run(project, capsys, "slo", "correct", "revoke", str(one["id"]), "--yes")
    assert code == 2, again
    code, audited = run(project, capsys, "audit", "list")
    assert code == 0
    assert "slo.correct" in json.dumps(audited)


async def test_a_planned_operation_makes_its_own_correction_once(tmp_path: Path) -> None:
    clock = SystemClock()
    number = uuid7(clock)
    fleet = Fleet(clusters=(cluster(),))
    async with open_store(f"sqlite:///{tmp_path}/dbre.db", clock=clock, migrate=True) as store:
        async with store.begin() as connection:
            await connection.execute(tables.operation.insert().values(**_ended(number)))
        automatic = AutomaticCorrections(
            store, (definition(),), fleet, clock, settings=SloCorrectionsDocument(operations=["ha.*"], slos=["orders-writes"])
        )
        (subscription,) = automatic.subscriptions
        for kind in ("ha.switchover", "ha.switchover", "settings.apply"):
            await subscription.handler(_event(number, kind, clock))
        async with store.read() as connection:
            (one,) = await read_corrections(connection)
    assert (one.slo, one.cluster, one.operation_id) == ("orders-writes", "orders", str(number))
    assert one.start == START
    assert one.end == START + timedelta(minutes=5)
    assert AutomaticCorrections(store, (), fleet, clock, settings=SloCorrectionsDocument()).subscriptions == ()


async def test_groups_without_a_roll_up_are_corrected_too(tmp_path: Path) -> None:
    clock = SystemClock()
    number = uuid7(clock)
    tenants = Sli(kind=SliKind.AVAILABILITY, source=EventSource(group_attribute="tenant"))
    checkout = definition("checkout", sli=tenants, has_roll_up=False)
    async with open_store(f"sqlite:///{tmp_path}/dbre.db", clock=clock, migrate=True) as store:
        async with store.begin() as connection:
            await connection.execute(tables.operation.insert().values(**_ended(number)))
        settings = SloCorrectionsDocument(operations=["ha.*"])
        automatic = AutomaticCorrections(store, (checkout,), FLEET, clock, settings=settings)
        await automatic(_event(number, "ha.switchover", clock))
        async with store.read() as connection:
            (one,) = await read_corrections(connection)
    assert one.covers(SloInstance(definition=checkout, cluster=FLEET.clusters[0], group="a"))


def _event(number, kind: str, clock: SystemClock):
    from dbre.core.events import Event

    data = {"kind": kind, "operation_id": str(number), "target": "cluster/orders"}
    return Event(id=uuid7(clock), sequence=1, kind="operation.succeeded", subject="operation/x", at=clock.now(), data=data)


def _ended(number) -> dict[str, object]:
    from dbre.core.operation.plan import Plan, PlannedOperation, Step

    plan = Plan(target="cluster/orders", summary="switch over", steps=(Step("promote"),))
    planned = PlannedOperation(kind="ha.switchover", definition_version=1, input={}, plan=plan)
    return {
        "id": number,
        "kind": planned.kind,
        "definition_version": 1,
        "target_key": plan.target,
        "plan": json.dumps(planned.document()),
        "plan_hash": planned.hash,
        "state": "succeeded",
        "attempt": 1,
        "priority": 0,
        "requested_by": "ana",
        "created_at": START,
        "started_at": START + timedelta(seconds=3),
        "ended_at": START + timedelta(minutes=4, seconds=30),
        "tuning": "{}",
    }
