"""Reports over a state store, and as a person reads them."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from report_kit import SPAN, START, at, incident
from sqlalchemy import insert

from dbre.app import Application
from dbre.capabilities.report.documents import ReportDocument
from dbre.capabilities.report.reading import Reports
from dbre.capabilities.report.span import Span
from dbre.capabilities.report.toil import Actor, Trigger
from dbre.capabilities.report.toil_log import ToilDraft, log_toil, read_toil
from dbre.capabilities.report.writing import as_exposition, as_markdown
from dbre.cli import root
from dbre.core.audit import tables as audit
from dbre.core.clock import SystemClock
from dbre.core.errors import UsageError
from dbre.core.events import EventLog
from dbre.core.ids import uuid7
from dbre.core.operation import tables
from dbre.core.operation.plan import Plan, PlannedOperation, Risk, Step, canonical
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.ports.report_sources import IncidentFact, SloFact
from dbre.testing.clock import FakeClock

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def state_server(request: pytest.FixtureRequest) -> PostgresServer | None:
    return request.getfixturevalue("postgres15") if request.param == "postgresql" else None


@pytest.fixture
async def store(state_server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[Store]:
    if state_server is None:
        async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=FakeClock(NOW), migrate=True) as found:
            yield found
        return
    async with await state_server.connect() as admin:
        await admin.execute("DROP DATABASE IF EXISTS report_tests WITH (FORCE)")
        await admin.execute("CREATE DATABASE report_tests")
    url = f"postgresql://{state_server.superuser}@{state_server.address}/report_tests"
    async with open_store(url, password=state_server.password, clock=FakeClock(NOW), migrate=True) as found:
        yield found


class Sources:
    """Implements ``ReportSources``."""

    def __init__(self, incidents: Sequence[IncidentFact] = (), slos: Sequence[SloFact] = ()) -> None:
        self._incidents, self._slos = incidents, slos

    async def incidents(self, *, since: datetime, until: datetime) -> Sequence[IncidentFact]:
        return [one for one in self._incidents if since <= one.started_at < until]

    async def compliance(self, *, since: datetime, until: datetime) -> Sequence[SloFact]:  # noqa: ARG002 - of the protocol
        return self._slos


def slo(name: str, good: int, total: int) -> SloFact:
    return SloFact(
        id=name,
        cluster="orders",
        objective=Decimal("0.99"),
        good=good,
        total=total,
        remaining_ratio=Fraction(1, 3) if total else None,
    )


async def operate(
    store: Store, started: float, ended: float, *, by: str = "ada", tags: tuple[str, ...] = (), risk: Risk = Risk.MODERATE
) -> None:
    plan = Plan(target="cluster/orders", summary="s", steps=(Step("a"),), risk=risk, tags=tags)
    planned = PlannedOperation(kind="settings.apply", definition_version=1, input={}, plan=plan)
    row = {
        "id": uuid7(FakeClock(NOW)),
        "kind": planned.kind,
        "definition_version": 1,
        "target_key": plan.target,
        "plan": canonical(planned.document()).decode(),
        "plan_hash": planned.hash,
        "state": "succeeded",
        "attempt": 1,
        "priority": 4,
        "requested_by": by,
        "created_at": at(started - 1),
        "started_at": at(started),
        "ended_at": at(ended),
        "tuning": {},
    }
    async with store.begin() as connection:
        await connection.execute(insert(tables.operation).values(row))


async def test_toil_is_kept_with_an_entry_in_the_audit_log(store: Store) -> None:
    clock = FakeClock(NOW)
    draft = ToilDraft(
        task=" restore test ",
        person="ada\x00",
        started_at=NOW - timedelta(hours=1),
        active=timedelta(minutes=30),
        note="'; DROP",
    )
    written = await log_toil(store, clock, draft, recorded_by="bob")
    (found,) = await read_toil(store, Span(since=NOW - timedelta(days=1), until=NOW))
    assert (found.task, found.active_seconds, found.actor, found.trigger) == (
        "restore test",
        1800.0,
        Actor.HUMAN,
        Trigger.LOGGED,
    )
    assert (found.id, found.note, found.person) == (written.id, "'; DROP", "ada\ufffd")
    async with store.read() as connection:
        entries = (await connection.execute(audit.entry.select())).all()
    assert [(one.action, one.actor, one.subject) for one in entries] == [("toil.logged", "bob", f"toil/{found.id}")]


@pytest.mark.parametrize(
    "wrong", [{"task": " "}, {"task": "x" * 101}, {"active": timedelta(hours=25)}, {"active": timedelta()}, {"started_at": NOW}]
)
def test_toil_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    given = {"task": "a", "person": "ada", "started_at": NOW - timedelta(days=2), "active": timedelta(hours=1), **wrong}
    with pytest.raises(UsageError):
        ToilDraft(**given).check(NOW)  # type: ignore[arg-type]


async def test_a_roll_up_holds_what_operations_incidents_slos_and_people_tell(store: Store) -> None:
    await operate(store, 10, 11)
    await operate(store, 20, 21, by="schedule:nightly")
    await operate(store, 30, 31, tags=("rollback",))
    await operate(store, 40, 41, risk=Risk.READ)
    await operate(store, -30, -29)
    draft = ToilDraft(task="add user", person="ada", started_at=at(50), active=timedelta(minutes=10))
    await log_toil(store, FakeClock(NOW), draft, recorded_by="ada")
    facts = [incident("i", 21.5, detected=21.6, acknowledged=21.75, resolved=22), incident("before", -100, resolved=-99)]
    slos = [slo("a@orders", 990, 1000), slo("b@orders", 980, 1000), slo("idle@orders", 0, 0)]
    found = await Reports(store, Sources(facts, slos), ReportDocument()).rollup(SPAN)
    values = {one.name: (one.value, one.is_met) for one in found.metrics}
    assert values["incidents"] == (1, None)
    assert values["mttr_seconds"] == (1800.0, False)
    assert values["deployments"] == (3, None)
    assert values["deployment_failure_ratio"] == (2 / 3, None)  # the third is the rollback, after which nothing happened
    assert values["deployment_rework_ratio"][0] == pytest.approx(1 / 3)
    assert values["slo_compliance_ratio"] == (0.5, False)
    assert values["slo_largest_burn_rate"] == (2.0, True)
    assert values["slos_measured"] == (2, None)
    assert [(one.task, one.times, one.automatic_times) for one in found.toil.candidates] == [
        ("settings.apply", 2, 1),
        ("incident orders-writes", 1, 0),
        ("add user", 1, 0),
    ]


async def told_of(store: Store, hours: float, *, cluster: str) -> None:
    data = {"cluster": cluster, "what": "shop", "version": "2", "note": "", "by": "ci"}
    async with store.begin() as connection:
        await EventLog(FakeClock(at(hours))).emit(connection, kind="deploy.recorded", subject=f"cluster/{cluster}", data=data)


async def test_deploys_that_were_told_of_are_deployments_with_what_follows_them(store: Store) -> None:
    await operate(store, 10, 11)
    for hours, cluster in ((20, "orders"), (21, "users"), (-2, "orders"), (24 * 7, "orders")):
        await told_of(store, hours, cluster=cluster)
    facts = [incident("i", 20.5, resolved=22)]
    reports = Reports(store, Sources(facts), ReportDocument())
    found = await reports.dora(SPAN)
    assert (found.deployments, found.failed) == (3, 2)  # the operation and the deploy of the cluster; not that of users
    assert found.recovery_seconds is not None
    assert found.recovery_seconds.mean == 1.5 * 3600
    assert found.lead_seconds is not None
    assert (found.lead_seconds.n, found.lead_seconds.mean) == (1, 2 * 3600.0)  # of the operation alone
    assert (await reports.dora(SPAN, cluster="users")).failure_ratio == 0.0
    without = Reports(store, Sources(facts), ReportDocument(deployments=["*", "!deploy.*"]))
    assert (await without.dora(SPAN)).deployments == 1
    assert [one.task for one in await reports.toil_entries(SPAN)] == ["settings.apply"], "nobody of us did the deploy"


async def test_the_forms_of_a_roll_up_say_the_same_and_undefined_is_left_out(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'one.db'}", clock=FakeClock(NOW), migrate=True) as store:
        hostile = slo('x|y<script>"\n@orders', 1, 2)
        found = await Reports(store, Sources((), [hostile, slo("idle@orders", 0, 0)]), ReportDocument()).rollup(SPAN)
    text, metrics = as_markdown(found), as_exposition(found)
    assert "| time to resolve | - |" in text
    assert r"x\|y\<script\>" in text
    assert "<script>" not in text
    assert "mttr" not in metrics
    assert "dbre_report_incidents 0\n" in metrics
    assert 'dbre_report_slo_ratio{slo="x|y<script>\\"\\n@orders"} 0.5' in metrics
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: apt install prometheus")
    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=metrics, text=True, capture_output=True, check=False, timeout=60
    )
    assert "error while linting" not in checked.stderr
    assert "parse" not in checked.stderr


CONFIG = """
state: {url: "sqlite:///dbre.db"}
fleet:
  clusters:
    - {name: orders, environment: prod, engine: postgresql, instances: [{name: orders-1, host: 192.0.2.1}]}
slos:
  - name: writes
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99.9%
    window: {rolling: 30d}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    (directory / "dbre.yaml").write_text(CONFIG)

    async def fill() -> None:
        async with open_store(f"sqlite:///{directory}/dbre.db", clock=SystemClock(), migrate=True):
            pass

    asyncio.run(fill())
    return directory


def run(project: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = root.main(Application, ["--config", str(project / "dbre.yaml"), *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_person_logs_toil_and_sees_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(project, capsys, "toil", "log", "add user", "--minutes", "15", "--target", "orders", "--person", "ada")
    assert code == 0, err
    code, out, _ = run(project, capsys, "toil", "list", "-o", "json")
    (item,) = json.loads(out)["items"]
    assert (item["task"], item["active_seconds"], item["person"], item["trigger"]) == ("add user", 900.0, "ada", "logged")
    code, out, err = run(project, capsys, "report", "toil")
    assert code == 0
    assert "add user" in out
    assert "1 people" in err


@pytest.mark.parametrize("words", [("kpi",), ("dora",), ("compliance",), ("weekly",), ("kpi", "--cluster", "orders")])
def test_every_report_of_an_empty_store_is_a_document_without_invented_numbers(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(project, capsys, "report", *words, "-o", "json")
    assert code == 0, err
    items = json.loads(out)["items"]
    assert items
    if words[0] == "compliance":
        assert (items[0]["id"], items[0]["ratio"], items[0]["is_met"]) == ("writes@orders", None, None)
    else:
        undefined = {one["metric"] for one in items if one["value"] is None}
        assert undefined & {"mttr_seconds", "deployment_failure_ratio"}


def test_forms_for_wikis_and_textfile_collectors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(project, capsys, "report", "weekly", "--markdown")
    assert (code, out.startswith("# Databases, ")) == (0, True)
    code, out, _ = run(project, capsys, "report", "weekly", "--prometheus")
    assert (code, "# TYPE dbre_report_incidents gauge" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "kpi", "--since", "2026-11-20", "--until", "2026-11-19"), "ends before it begins"),
        (("report", "kpi", "--cluster", "ordres"), "did you mean orders"),
        (("report", "weekly", "--week", "last"), "not an ISO week"),
        (("report", "weekly", "--markdown", "--prometheus"), "two forms"),
        (("toil", "log", "x", "--minutes", "10", "--started", "1m"), "in the future"),
    ],
)
def test_wrong_words_are_refused_with_a_hint(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, _, err = run(project, capsys, *words)
    assert (code, said in err) == (2, True), err


def test_a_control_plane_elsewhere_is_not_answered_for(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBRE_SERVER", "https://dbre.example")
    code, _, err = run(project, capsys, "report", "kpi")
    assert code == 2
    assert "DBRE_SERVER names a control plane" in err
    assert START.tzinfo is UTC
