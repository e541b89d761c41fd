"""``dbre slo import``, ``validate``, ``export``, ``simulate`` and ``explain --lang``, as a person runs them."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbre.app import Application
from dbre.cli import root

CONFIG = """
state: {url: "sqlite:///dbre.db"}
include: [more/*.yaml]
fleet:
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      instances: [{name: orders-1, host: 192.0.2.1}]
slos:
  - name: writes
    description: orders are taken
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99.9%
    window: {rolling: 30d}
"""
PYRRA = """\
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: nginx-errors}
spec:
  target: '99.9'
  window: 4w
  indicator:
    ratio:
      errors: {metric: 'nginx_requests{status=~"5.."}'}
      total: {metric: nginx_requests}
"""
GAUGE = PYRRA.replace("nginx-errors", "up").replace(
    "ratio:\n      errors: {metric: 'nginx_requests{status=~\"5..\"}'}\n      total: {metric: nginx_requests}",
    "bool_gauge: {metric: up}",
)
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "imported.yaml").write_text("slos: []\n")
    (tmp_path / "pyrra.yaml").write_text(PYRRA)
    (tmp_path / "gauge.yaml").write_text(GAUGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = root.main(Application, ["slo", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_what_is_imported_is_configuration_and_can_be_exported_again(project: Path, capsys) -> None:
    code, out, err = run(capsys, "import", "pyrra.yaml", "--selector", "cluster=orders", "--prometheus", "main")
    assert (code, err) == (0, "")
    (project / "more" / "imported.yaml").write_text(out)
    code, out, err = run(capsys, "export", "nginx-errors")
    assert code == 0, err
    (project / "exported.yaml").write_text(out)
    assert "apiVersion: openslo/v1" in out
    code, out, err = run(capsys, "import", "exported.yaml")
    assert (code, err) == (0, "")
    assert out.replace("28d", "4w") == (project / "more" / "imported.yaml").read_text()
    code, out, _ = run(capsys, "export", "-o", "json")
    assert [one["metadata"]["name"] for one in json.loads(out)["items"]] == ["writes", "nginx-errors"]


def test_an_slo_that_is_left_out_is_told_and_ends_with_3(project: Path, capsys) -> None:
    code, out, err = run(capsys, "import", "pyrra.yaml", "gauge.yaml", "--selector", "cluster=orders")
    assert code == 3
    assert "nginx-errors" in out
    assert "gauge.yaml:1:1: up: its SLI is a gauge" in err
    assert run(capsys, "validate", "pyrra.yaml", "gauge.yaml")[0] == 3


def test_an_import_for_no_cluster_is_refused_with_the_option_that_names_one(project: Path, capsys) -> None:
    code, out, err = run(capsys, "import", "pyrra.yaml")
    assert (code, out) == (2, "")
    assert "--selector cluster=NAME" in err
    assert run(capsys, "import", "pyrra.yaml", "--selector", "orders")[0] == 2


def test_validation_needs_no_cluster_and_tells_every_problem_with_its_place(project: Path, capsys) -> None:
    code, out, _ = run(capsys, "validate", "pyrra.yaml", "dbre.yaml")
    assert code == 0
    assert "nginx-errors" in out
    assert "writes" in out
    (project / "pyrra.yaml").write_text(PYRRA.replace("window", "windwo") + "---\nkind: SLO\n")
    code, out, err = run(capsys, "validate", "pyrra.yaml", "none.yaml")
    assert (code, out) == (2, "")
    assert "did you mean window?" in err
    assert "nothing here tells which tool wrote it" in err
    assert "none.yaml: the file cannot be read" in err


def test_an_unknown_slo_is_not_exported(project: Path, capsys) -> None:
    code, _, err = run(capsys, "export", "write")
    assert code == 2
    assert "did you mean writes?" in err


def test_a_file_is_replayed_against_other_promises(project: Path, capsys) -> None:
    lines = [
        f"{(BEGIN + timedelta(seconds=10 * index)).isoformat()},{int(not 4000 <= index < 4030)},{int(4000 <= index < 4030)}"
        for index in range(8640)
    ]
    (project / "day.csv").write_text("\n".join(["time,good,bad", *lines, ""]))
    code, out, err = run(
        capsys, "simulate", "writes", "--csv", "day.csv", "--target", "99%", "--rule", "page:10%:1h", "-o", "json"
    )
    assert code == 0, err
    configured, other = json.loads(out)["items"]
    assert (configured["is_configured"], configured["pages"], configured["bad"]) == (True, 1, 30)
    assert configured["alerts"][0]["errors_since"] == (BEGIN + timedelta(seconds=40_000)).isoformat()
    assert (other["target"], other["pages"], other["rules"]) == ("99 %", 0, ["page-1h"])
    code, out, _ = run(capsys, "simulate", "writes", "--csv", "day.csv")
    assert "page-1h 2026-09-01 11:0" in out


def test_a_simulation_without_history_or_counters_says_so(project: Path, capsys) -> None:
    assert root.main(Application, ["db", "migrate"]) == 0
    code, _, err = run(capsys, "simulate", "writes")
    assert code == 0, err
    assert "writes@orders has no history" in err
    code, _, err = run(capsys, "simulate", "writes", "--prometheus", "main")
    assert code == 2
    assert "--bad COUNTERS --total COUNTERS" in err
    code, _, err = run(capsys, "simulate", "writes", "--prometheus", "main", "--bad", "a", "--total", "b")
    assert code == 2
    assert "no server of the section prometheus is named main" in err


def test_invented_traffic_gives_a_table_of_false_pages(project: Path, capsys) -> None:
    code, out, err = run(capsys, "simulate", "writes", "--model", "--per-minute", "1/2", "--runs", "1", "-o", "json")
    assert code == 0, err
    off, on = json.loads(out)["items"]
    assert (off["guard"], on["guard"], on["false_pages_30_days"]) == ("off", "on", 0)
    assert off["false_pages_30_days"] > 0
    assert off["outage_seconds"] <= on["outage_seconds"]
    assert run(capsys, "simulate", "writes", "--model", "--per-minute", "0")[0] == 2


def test_an_explanation_may_be_spanish(project: Path, capsys) -> None:
    assert root.main(Application, ["db", "migrate"]) == 0
    capsys.readouterr()
    code, out, err = run(capsys, "explain", "writes", "--lang", "es")
    assert code == 0, err
    assert "Promesa: las sondas de escritura acaban bien" in out
    code, _, err = run(capsys, "explain", "writes", "--lang", "fr")
    assert code == 2
    assert "--lang es" in err


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/dev/zero", "/dev/zero: the file is larger than 16 MiB (give it in several files)"),
        ("more", "more: the file cannot be read: Is a directory"),
    ],
)
def test_what_is_no_file_is_refused_at_once(project: Path, capsys, file: str, said: str) -> None:
    code, _, err = run(capsys, "validate", file)
    assert (code, err.splitlines()[:2]) == (2, ["dbre: the files have 1 problem:", f"dbre:   {said}"])
    assert "config schema" not in err


def test_a_pipe_is_read_and_one_that_nobody_writes_to_holds_nothing(project: Path, capsys) -> None:
    os.mkfifo(project / "pipe")
    assert run(capsys, "validate", "pipe")[:2] == (0, "the files hold no SLO\n")
    reading, writing = os.pipe()
    os.write(writing, PYRRA.encode())
    os.close(writing)
    code, out, _ = run(capsys, "validate", f"/dev/fd/{reading}")
    os.close(reading)
    assert code == 0
    assert "nginx-errors" in out
