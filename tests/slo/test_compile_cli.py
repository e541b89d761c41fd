"""``dbre slo compile`` and ``dbre slo dashboards``, as a person runs them."""

import json
from pathlib import Path

import pytest
import yaml
from test_slo_cli import CONFIG

from dbre.app import Application
from dbre.cli import root
from dbre.testing.monitoring_fixtures import require_tool


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = root.main(Application, list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_rules_are_printed_and_checked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_tool("promtool")
    code, out, err = run(capsys, "slo", "compile", "--check")
    assert code == 0, err
    assert {group["name"] for group in yaml.safe_load(out)["groups"]} > {"dbre-slo-counts", "dbre-slo-alerts-writes"}
    assert "promtool: SUCCESS" in err
    code, out, err = run(capsys, "slo", "compile", "writes", "--compat", "sloth", "--check")
    assert (code, "slo:sli_error:ratio_rate30d" in out) == (0, True), err


def test_files_are_written_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "slo", "compile", "--test", "--out", "rules")
    assert code == 0, err
    assert sorted(path.name for path in (place / "rules").iterdir()) == ["dbre-slo.rules.yml", "dbre-slo.tests.yml"]
    code, _, err = run(capsys, "slo", "compile", "--out", "rules")
    assert code == 2
    assert "dbre-slo.rules.yml exists" in err
    code, out, _ = run(capsys, "slo", "compile", "--out", "rules", "--overwrite", "-o", "json")
    assert code == 0
    assert [item["kind"] for item in json.loads(out)["items"]] == ["rules"]


def test_what_does_not_go_together_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "slo", "compile", "--test", "--compat", "sloth")
    assert (code, "--test writes tests of native rules only" in err) == (2, True)
    code, _, err = run(capsys, "slo", "compile", "--to", "alertmanager", "--compat", "sloth")
    assert (code, "routes alerts of native rules only" in err) == (2, True)
    code, _, err = run(capsys, "slo", "compile", "writs")
    assert (code, "did you mean writes?" in err) == (2, True)


def test_routes_name_the_receivers(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "slo", "compile", "--to", "alertmanager", "--page-receiver", "pager")
    assert code == 0, err
    document = yaml.safe_load(out)
    assert [one["name"] for one in document["receivers"]] == ["pager", "ticket"]
    assert document["route"]["routes"][0]["routes"][0]["receiver"] == "pager"


def test_dashboards_of_the_engines_of_the_fleet(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "slo", "dashboards", "--out", "grafana")
    assert code == 0, err
    names = sorted(path.name for path in (place / "grafana").iterdir())
    expected = ["database-postgresql", "fleet", "incidents", "self", "slo"]
    assert names == [f"dbre-{name}.json" for name in expected]
    assert json.loads((place / "grafana/dbre-slo.json").read_text())["title"] == "dbre: SLO"
