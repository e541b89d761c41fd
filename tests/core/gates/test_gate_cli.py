"""``dbre gate`` and ``dbre slo gate``, as people and pipelines run them."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gate_kit import number, planned, put

from dbre.app import Application
from dbre.cli import root
from dbre.core.clock import SystemClock
from dbre.core.operation.model import Override
from dbre.core.operation.reading import find
from dbre.core.store import open_store

CONFIG = """
state: {url: "sqlite:///state/dbre.db"}
fleet:
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      instances: [{name: orders-1, host: 192.0.2.1}]
    - name: trial
      environment: test
      engine: postgresql
      instances: [{name: trial-1, host: 192.0.2.2}]
slos:
  - name: writes
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99.9%
    window: {rolling: 30d}
error_budget_policies:
  - {name: never, selector: {environment: prod}, when: [{budget_at_most: "100%"}], then: refuse}
gates:
  freeze_windows:
    - {name: always, when: {days: [mon, tue, wed, thu, fri, sat, sun]}, selector: {environment: prod}}
"""


class Desk:
    """Keeps what it is asked; the real one has tests of its own."""

    def __init__(self, store) -> None:
        self.store = store

    async def override(self, operation_id, request):
        from dataclasses import replace

        async with self.store.read() as connection:
            record = await find(connection, operation_id)
        given = Override(gate=request.gate, by="alice", reason=request.reason, ticket=request.ticket, at=datetime.now(UTC))
        return replace(record, overrides=(given,))


class Wired(Application):
    """The application, with a desk that only writes down."""

    @asynccontextmanager
    async def open_desk(self):
        async with self.open_store() as store:
            yield Desk(store)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("gates")
    (directory / "dbre.yaml").write_text(CONFIG)
    asyncio.run(_fill(directory))
    return directory


async def _fill(directory: Path) -> None:
    now = datetime.now(UTC)
    async with open_store(f"sqlite:///{directory}/state/dbre.db", clock=SystemClock(), migrate=True) as store:
        hold = {"by": "freeze-window", "is_gate": True, "reason": "a \x1b[2J freeze", "since": now.isoformat()}
        await put(store, 1, planned(), hold=hold, not_before=now + timedelta(minutes=1))
        await put(store, 2, planned("move.run", target="cluster/trial"), lock=True, state="running", started_at=now)


def run(project: Path, capsys, *words: str) -> tuple[int, str, str]:
    code = root.main(Wired, ["--config", str(project / "dbre.yaml"), *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_every_gate_and_what_it_guards(project, capsys):
    code, out, err = run(project, capsys, "gate", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "approval",
        "error-budget",
        "freeze-window",
        "proven-restore",
        "redundancy",
        "replica-lag",
        "target-lock",
    ]
    assert "--cluster NAME" in err


def test_list_says_what_each_gate_says_of_a_cluster(project, capsys):
    code, out, _ = run(project, capsys, "gate", "list", "--cluster", "orders", "-o", "json")
    said = {one["gate"]: one["verdict"] for one in json.loads(out)["items"]}
    assert (code, said) == (
        0,
        {
            "approval": "allow",
            "error-budget": "refuse",
            "freeze-window": "hold",
            "proven-restore": "allow",
            "redundancy": "allow",
            "replica-lag": "allow",
            "target-lock": "allow",
        },
    )


def test_check_ends_with_5_and_the_reasons_the_worst_first(project, capsys):
    code, out, err = run(project, capsys, "gate", "check", "--cluster", "orders", "--kind", "settings.apply")
    assert code == 5
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["error-budget", "refuse"]
    assert "100.00 % of the error budget of writes@orders is left" in lines[1]
    assert lines[2].split()[:2] == ["freeze-window", "hold"]
    assert "--override error-budget --override freeze-window --reason" in err


def test_check_ends_with_0_where_nothing_stands_in_the_way(project, capsys):
    code, out, _ = run(project, capsys, "gate", "check", "--cluster", "orders", "--tag", "rollback")
    assert code == 0
    assert "hold" not in out


def test_check_sees_who_holds_the_target(project, capsys):
    code, out, _ = run(project, capsys, "gate", "check", "--cluster", "trial", "-o", "json")
    (lock,) = [one for one in json.loads(out)["items"] if one["verdict"] != "allow"]
    assert (code, lock["gate"], lock["evidence"]["kind"]) == (5, "target-lock", "move.run")


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [(["--cluster", "orders"], 2, "CRITICAL"), (["--cluster", "trial"], 1, "WARNING"),
     (["--cluster", "orders", "--tag", "restore"], 0, "OK")],
)  # fmt: skip
def test_a_monitoring_plugin_learns_it_too(project, capsys, words, code, state):
    found, out, _ = run(project, capsys, "gate", "check", *words, "-o", "nagios")
    assert (found, out.split()[1]) == (code, state)


def test_a_mistyped_kind_is_remarked(project, capsys):
    _, _, err = run(project, capsys, "gate", "check", "--cluster", "orders", "--kind", "setings.apply")
    assert "did you mean settings.apply?" in err
    _, _, err = run(project, capsys, "gate", "check", "--cluster", "orders", "--kind", "deploy")
    assert "did you mean" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "--cluster", "ordres"], "did you mean orders?"),
        (["check", "--cluster", "orders", "--risk", "svere"], "did you mean severe?"),
        (["check", "--cluster", "orders", "--kind", "a\x1b[2J"], "not a kind"),
        (["check", "--cluster", "orders", "--takes", "long"], "not a duration"),
        (["check"], "--cluster"),
        (["override", "12", "approval", "--reason", "x"], "not the id of an operation"),
        (["override", str(number(1)), "approval"], "--reason"),
    ],
)
def test_what_is_wrong_is_a_usage_error(project, capsys, words, said):
    code, out, err = run(project, capsys, "gate", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "\x1b[2J" not in err


def test_held_shows_who_waits_for_what(project, capsys):
    code, out, _ = run(project, capsys, "gate", "held")
    assert code == 0
    assert "freeze-window" in out
    assert "\x1b" not in out
    _, out, _ = run(project, capsys, "gate", "held", "-o", "json")
    (item,) = json.loads(out)["items"]
    assert (item["operation_id"], item["held_by"], item["target"]) == (str(number(1)), "freeze-window", "cluster/orders")


def test_override_goes_through_the_desk(project, capsys):
    words = ["gate", "override", str(number(1)), "freeze-window", "--reason", "outage", "--ticket", "T-1", "-o", "json"]
    code, out, err = run(project, capsys, *words)
    assert code == 0, err
    document = json.loads(out)
    assert "freeze-window" in json.dumps(document)
    assert "T-1" in json.dumps(document)


@pytest.mark.parametrize(("words", "code", "verdict"), [(["orders"], 5, "refuse"), (["trial"], 0, "allow")])
def test_slo_gate_asks_the_budgets_alone(project, capsys, words, code, verdict):
    found, out, err = run(project, capsys, "slo", "gate", *words, "-o", "json")
    assert (found, err) == (code, "")
    document = json.loads(out)
    assert (document.get("item") or document["items"][0])["verdict"] == verdict
    found, out, _ = run(project, capsys, "slo", "gate", "orders", "--tag", "failover")
    assert found == 0
