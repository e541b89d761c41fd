import json
from pathlib import Path

import pytest
import yaml
from cli_kit import SmallRuntime, context
from jsonschema import Draft202012Validator

from dbre.cli.config_cli import schema, show, validate
from dbre.core.config import ConfigInvalid
from dbre.core.errors import UsageError

TEXT = """\
fleet:
  clusters:
    - name: orders
      engine: postgresql
      password: env:ORDERS_PASSWORD
      instances: [{name: o1, host: db1}, {name: o2, host: db2}]
telemetry: {log_level: debug}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "dbre.yaml"
    path.write_text(TEXT)
    return path


def test_show_prints_what_is_effective_as_yaml_that_reads_back(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_PASSWORD", "hunter2")
    runtime = SmallRuntime(path, environment={"DBRE_TELEMETRY__SERVICE_NAME": "dbre-eu"})
    view = show(context(runtime))
    assert view.text is not None
    assert "password: env:ORDERS_PASSWORD" in view.text
    assert "service_name: dbre-eu" in view.text
    assert "hunter2" not in view.text + json.dumps(view.items[0])
    assert yaml.safe_load(view.text) == view.items[0]
    again = tmp_path / "again.yaml"
    again.write_text(view.text)
    assert show(context(SmallRuntime(again))).items == view.items


def test_show_origin_names_the_source_of_each_value(path: Path) -> None:
    runtime = SmallRuntime(path, environment={"DBRE_TELEMETRY__SERVICE_NAME": "dbre-eu"})
    origins = {row["key"]: (row["value"], row["origin"]) for row in show(context(runtime), origin=True).items}
    assert origins["telemetry.log_level"] == ("debug", f"{path}:7:13")
    assert origins["telemetry.service_name"] == ("dbre-eu", "environment variable DBRE_TELEMETRY__SERVICE_NAME")
    assert origins["telemetry.otlp_endpoint"] == (None, "default")
    assert origins["fleet.clusters[0].password"] == ("env:ORDERS_PASSWORD", f"{path}:5:7")
    assert origins["fleet.clusters[0].instances[1].host"] == ("db2", f"{path}:6:53")
    assert origins["fleet.clusters[0].tls"] == ("prefer", "default")


def test_validate_counts_what_it_found(path: Path) -> None:
    (row,) = validate(context(SmallRuntime(path))).items
    assert row == {
        "is_valid": True,
        "files": [str(path)],
        "sections": ["fleet", "telemetry"],
        "cluster_count": 1,
        "instance_count": 2,
        "warnings": [],
    }


def test_validate_raises_every_problem_with_exit_code_2(path: Path) -> None:
    path.write_text(TEXT.replace("debug", "loud").replace("env:ORDERS_PASSWORD", "hunter2"))
    with pytest.raises(ConfigInvalid) as caught:
        validate(context(SmallRuntime(path)))
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 2
    assert "hunter2" not in caught.value.message


def test_validate_without_a_file_says_where_it_looked() -> None:
    view = validate(context(SmallRuntime(None)))
    assert view.notes == ["no file was read: there is neither ./dbre.yaml nor ~/.config/dbre/dbre.yaml"]


def test_schema_needs_no_valid_configuration(path: Path) -> None:
    path.write_text("nonsense: [")
    whole = schema(context(SmallRuntime(path)))
    document = json.loads(whole.text or "")
    Draft202012Validator.check_schema(document)
    assert list(Draft202012Validator(document).iter_errors(yaml.safe_load(TEXT))) == []
    one = schema(context(SmallRuntime(path)), "telemetry")
    assert "log_level" in one.items[0]["properties"]
    with pytest.raises(UsageError, match="there is no section 'flet'") as caught:
        schema(context(SmallRuntime(path)), "flet")
    assert caught.value.hint == "did you mean fleet?"
