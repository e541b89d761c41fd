"""``dbre slo``, as a person runs it: a configuration file, a state store, a terminal."""

import asyncio
import json
import re
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from slo_kit import World, cluster

from dbre.app import Application
from dbre.capabilities.slo import SLOS, definitions_from
from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.error_budget import Budget
from dbre.capabilities.slo.plugin import plugin_status
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.cli import root
from dbre.core.clock import SystemClock
from dbre.core.config import load
from dbre.core.fleet import EndpointPurpose, Fleet
from dbre.core.store import open_store
from dbre.core.view import PluginState
from dbre.ports.probe import Outcome, ProbeObservation

CONFIG = """
state: {url: "sqlite:///state/dbre.db"}
fleet:
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      instances: [{name: orders-1, host: 192.0.2.1}]
    - name: quiet
      environment: prod
      engine: postgresql
      instances: [{name: quiet-1, host: 192.0.2.2}]
slos:
  - name: writes
    description: "orders are taken"
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99.9%
    window: {rolling: 30d}
  - name: nothing
    selector: {cluster: ordres}
    sli: {kind: availability, purpose: write}
    target: 99.9%
    window: {rolling: 30d}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project whose control plane saw an hour of good probes, then twelve bad ones, on one of two clusters."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "dbre.yaml").write_text(CONFIG)
    asyncio.run(_fill(directory))
    return directory


async def _fill(directory: Path) -> None:
    config = load([directory / "dbre.yaml"], sections=Application(root.GlobalOptions()).sections(), environment={}, flags={})
    clock = SystemClock()
    async with open_store(f"sqlite:///{directory}/state/dbre.db", clock=clock, migrate=True) as store:
        fleet = Fleet(clusters=(cluster("orders"), cluster("quiet")))
        world = World(store, clock=clock, definitions=definitions_from(config.get(SLOS)), fleet=fleet)
        now = clock.now()
        for ago in range(400, -1, -1):
            world.engine.record(
                ProbeObservation(
                    cluster="orders",
                    purpose=EndpointPurpose.WRITE,
                    scheduled_at=now - timedelta(seconds=10 * ago),
                    interval_seconds=10,
                    outcome=Outcome.BAD if 0 < ago < 13 else Outcome.GOOD,
                    latency_seconds=None,
                )
            )
        await world.engine.tick()


def run(project: Path, capsys, *words: str) -> tuple[int, str, str]:
    code = root.main(Application, ["--config", str(project / "dbre.yaml"), "slo", *words])
    out, err = capsys.readouterr()
    return code, out, err


def items(project: Path, capsys, *words: str):
    code, out, err = run(project, capsys, *words, "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    return document.get("items", document.get("item"))


def test_list_shows_the_worst_first_and_names_what_measures_nothing(project, capsys):
    code, out, err = run(project, capsys, "list")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["writes@orders", "page"]
    assert lines[2].split()[:3] == ["writes@quiet", "no", "traffic"]
    assert "SLO nothing selects no cluster" in err
    assert "did you mean orders?" in err


def test_a_monitoring_plugin_learns_who_must_act(project, capsys):
    code, out, _ = run(project, capsys, "list", "-o", "nagios")
    status, _, perfdata = out.partition(" | ")
    assert (code, status) == (2, "SloList CRITICAL - writes@orders page, writes@quiet no traffic")
    labels = [one.partition("=")[0] for one in perfdata.split()]
    assert "'writes@orders_bad'" in labels
    assert len(labels) == len(set(labels))
    code, out, _ = run(project, capsys, "list", "-o", "nagios", "--typo")
    assert (code, out.split()[:2]) == (3, ["dbre", "UNKNOWN"])


@pytest.mark.parametrize(
    ("bad", "alert", "telemetry", "state"),
    [
        (0, None, TelemetryState.OK, PluginState.OK),
        (500, None, TelemetryState.OK, PluginState.WARNING),
        (1000, None, TelemetryState.TELEMETRY_LOST, PluginState.CRITICAL),
        (0, None, TelemetryState.TELEMETRY_LOST, PluginState.UNKNOWN),
        (0, Severity.TICKET, TelemetryState.OK, PluginState.WARNING),
        (1000, Severity.TICKET, TelemetryState.OK, PluginState.CRITICAL),
        (0, Severity.PAGE, TelemetryState.TELEMETRY_LOST, PluginState.CRITICAL),
        (0, None, TelemetryState.SOURCE_DOWN, PluginState.CRITICAL),
    ],
)
def test_plugin_state_is_that_of_the_worst(bad, alert, telemetry, state):
    health = Budget(allowed_bad=Fraction(900), raw_allowed_bad=Fraction(900), bad=bad, seconds=Fraction(900)).health
    status = SimpleNamespace(
        id="a@b",
        total=1000,
        telemetry=telemetry,
        budget=SimpleNamespace(health=health),
        active_alerts=[SimpleNamespace(severity=alert)] if alert else [],
    )
    assert plugin_status([status]).state is state
    assert plugin_status([]).state is PluginState.UNKNOWN


def test_the_document_has_exact_numbers(project, capsys):
    found = items(project, capsys, "show", "writes@orders")
    assert (found["good"], found["bad"], found["total"], found["sli_exact"]) == (389, 12, 401, "389/401")
    assert found["objective_exact"] == "0.999"
    assert found["budget"]["consumed_exact"] == "5/108"
    assert found["budget"]["remaining_seconds"] == 2472
    quiet = items(project, capsys, "show", "writes@quiet")
    assert (quiet["sli_ratio"], quiet["total"]) == (None, 0)


def test_budget_and_burn_list_every_instance(project, capsys):
    budgets = items(project, capsys, "budget")
    assert [one["id"] for one in budgets] == ["writes@orders", "writes@quiet"]
    assert budgets[0]["bad"] == 12
    burns = items(project, capsys, "burn", "writes@orders")
    assert [one["rule"] for one in burns] == ["page-1h", "page-6h", "ticket-1d", "ticket-3d"]
    assert burns[0]["state"] == "firing"
    code, out, _ = run(project, capsys, "burn")
    assert code == 0
    assert "14.4x" in out


def test_alerts_are_listed_with_what_they_said(project, capsys):
    (alert, *_) = items(project, capsys, "alerts", "--active")
    assert (alert["slo"], alert["cluster"], alert["rule"], alert["resolved_at"]) == ("writes", "orders", "page-1h", None)
    assert "as fast as it may over 1h and 5m" in alert["summary"]
    assert items(project, capsys, "alerts", "writes@quiet") == []


def test_explain_says_it_in_words(project, capsys):
    code, out, _ = run(project, capsys, "explain", "writes@orders")
    assert code == 0
    assert "orders are taken" in out
    assert "So 0.1 % may fail: 259.2 probes, or 43m 12s of total outage." in out
    assert "PAGE page-1h fires since" in out
    table = [line.split() for line in out.splitlines() if " %  " in line]
    assert table[0][:3] == ["100", "%", "1m"]  # six probes
    assert any(line[:3] == ["1", "%", "never"] for line in table)


def test_explain_of_what_was_never_measured_promises_nothing(project, capsys):
    _, out, _ = run(project, capsys, "explain", "writes@quiet")
    assert "nobody knows whether the promise is kept" in out


@pytest.mark.parametrize("verb", ["show", "budget", "burn", "explain", "alerts"])
def test_an_unknown_name_is_a_usage_error_with_a_suggestion(project, capsys, verb):
    code, out, err = run(project, capsys, verb, "write@orders")
    assert (code, out) == (2, "")
    assert "did you mean writes@orders?" in err


def test_hostile_names_are_refused_without_reaching_the_terminal(project, capsys):
    code, _, err = run(project, capsys, "show", "a\x1b[2Jb")
    assert code == 2
    assert "\x1b" not in err


def test_a_store_that_does_not_exist_yet_is_said_so(tmp_path, capsys):
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    code, out, err = run(tmp_path, capsys, "list")
    assert code != 0
    assert out == ""
    assert "hint" in err


def test_an_slo_that_measured_nothing_is_not_called_healthy(project, capsys):
    assert items(project, capsys, "show", "writes@quiet")["state"] == "no_traffic"
    _, out, _ = run(project, capsys, "budget", "writes@quiet")
    assert "no traffic" in out
    assert "healthy" not in out


def test_a_defined_slo_without_a_cluster_is_not_called_unknown(project, capsys):
    code, _, err = run(project, capsys, "show", "nothing")
    assert code == 2
    assert "SLO nothing selects no cluster" in err
    assert "did you mean orders?" in err
    assert "no SLO is named" not in err


def test_validation_of_the_configuration_finds_slos_that_measure_nothing(project, capsys):
    code = root.main(Application, ["--config", str(project / "dbre.yaml"), "config", "validate"])
    assert code == 3
    assert "SLO nothing selects no cluster and measures nothing" in capsys.readouterr().out


def test_the_burn_rate_that_rules_use_stands_first_and_that_of_measured_probes_is_named(project, capsys):
    found = items(project, capsys, "show", "writes@orders")
    rule = next(one for one in found["alerts"] if one["rule"] == "ticket-3d")
    measured = next(one for one in found["burn_rates"] if one["window_seconds"] == rule["long_seconds"])
    assert measured["burn_rate"] > 10 * rule["burn_rate"]
    lines = run(project, capsys, "show", "writes@orders")[1].splitlines()
    (used,) = [line for line in lines if line.startswith("BURN RATES")]
    (seen,) = [line for line in lines if line.startswith("OF MEASURED PROBES ONLY")]
    assert used.endswith(f"3d {rule['burn_rate']:.1f}x")
    assert seen.endswith(f"3d {measured['burn_rate']:.1f}x")


def test_tables_show_moments_alike_and_how_long_an_alert_fires_already(project, capsys):
    (alert,) = items(project, capsys, "alerts", "--active")
    assert alert["duration_seconds"] >= 0
    title, line = run(project, capsys, "alerts")[1].splitlines()[:2]
    assert re.search(r" CLUSTER +GROUP +RULE ", title)  # alerts of several groups are several lines
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +firing +page ", line)
    shown = run(project, capsys, "show", "writes@orders")[1]
    assert not re.search(r"\dT\d", shown)


def test_names_for_scripts_tell_the_clusters_of_an_slo_apart(project, capsys):
    assert run(project, capsys, "list", "-o", "name")[1].split() == ["writes@orders", "writes@quiet"]
