"""Exported files are readable Python, whatever people write into them."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator_kit import request
from pydantic import BaseModel, ConfigDict

from dbre.cli.export_cli import Target, export
from dbre.core.clock import SystemClock
from dbre.core.errors import UsageError
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import Operation, unknown_kind
from dbre.core.operation.orchestrators import Orchestrator, render
from dbre.core.operation.orchestrators.asking import parse_inputs
from dbre.core.operation.orchestrators.literal import literal
from dbre.core.operation.plan import Plan, PlannedOperation, Step

HOSTILE = (
    '"""\nimport os; os.system("touch /tmp/pwned")\n"""',
    "'); import os #",
    "@CLIENT@ @SETTINGS@",
    "{{ macros.os }} {% raw %}",
    "\x00\x1b[2J\u202e\u2028\U000e0041\\N{DASH}",
    "\\",
    "\\u0022",
    "caf\u00e9 \U0001f600",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def tidy(source: str) -> str:
    """What Black would make of it; Ruff formats as Black does, and is here."""
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "format", "--isolated", "--line-length", "88", "-"]
    return subprocess.run(command, input=source.encode(), capture_output=True, check=True).stdout.decode()


def settings_in(source: str) -> dict[str, Any]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SETTINGS":
            assert node.value is not None
            return ast.literal_eval(node.value)  # type: ignore[no-any-return]
    raise AssertionError("no SETTINGS")


def rest_of(source: str) -> str:
    """Everything but the settings."""
    body = [node for node in ast.parse(source).body if not isinstance(node, ast.AnnAssign)]
    return ast.unparse(ast.Module(body=body, type_ignores=[]))


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_written_as_the_same_value_on_lines_of_its_own(value: object) -> None:
    source = literal(value)
    assert ast.literal_eval(source) == value
    assert source.isascii() or all(one.isprintable() or one == "\n" for one in source)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(min_size=1), JSON, min_size=1, max_size=3))
def test_black_leaves_the_values_alone(value: dict[str, object]) -> None:
    source = f"SETTINGS = {literal(value)}\n"
    assert tidy(source) == source


@pytest.mark.parametrize("orchestrator", Orchestrator)
@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_people_stays_text(orchestrator: Orchestrator, text: str) -> None:
    body = {"kind": "fleet.check", "input": {text: [text]}, "reason": text}
    source = render(orchestrator, request(request=body, description=text), version="1.0")
    assert settings_in(source)["request"] == body
    assert rest_of(source) == rest_of(render(orchestrator, request(), version="1.0"))
    assert tidy(source) == source


@pytest.mark.parametrize("orchestrator", Orchestrator)
def test_the_file_is_tidy_python_of_version_3_9(orchestrator: Orchestrator) -> None:
    asked = request(schedule="30 3 * * 1-5", time_zone="Europe/Berlin")
    source = render(orchestrator, asked, version="1.0")
    assert tidy(source) == source
    ast.parse(source, feature_version=(3, 9))
    assert (settings_in(source)["schedule"], settings_in(source)["start"]) == ("30 3 * * 1-5", "2026-11-01")
    assert "@" not in source.replace("@flow(", "").replace("@property", "")
    assert source == render(orchestrator, asked, version="1.0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "dbre.example"}, "not the address"),
        ({"url": "ftp://dbre.example"}, "not the address"),
        ({"url": "https://u:hunter2@dbre.example"}, "holds more than"),
        ({"url": "https://dbre.example/?token=x"}, "holds more than"),
        ({"url": "http://dbre.example"}, "unencrypted"),
        ({"url": "https://dbre.example/\nx"}, "not the address"),
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"schedule": "@daily"}, "five fields"),
        ({"schedule": "61 * * * *"}, "five fields"),
        ({"schedule": "0 3 * * *", "time_zone": "Mars/Olympus"}, "time zone"),
        ({"schedule": "0 3 * * *", "time_zone": "../../etc/passwd"}, "time zone"),
        ({"token_variable": "A B"}, "token variable"),
    ],
)
def test_what_could_not_work_at_night_is_refused_now(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        render(Orchestrator.AIRFLOW, request(**changes), version="1.0")
    assert "hunter2" not in str(caught.value)


class CheckDocument(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cluster: str
    limit: int = 10


class FleetCheck(Operation[CheckDocument]):
    kind = "fleet.check"
    document = CheckDocument

    async def plan(self, _: PlanContext, asked: CheckDocument) -> Plan:  # noqa: ARG002 - the signature of all plans
        raise AssertionError("an export plans nothing")


class Registry:
    def kinds(self) -> list[str]:
        return ["fleet.check"]

    def get(self, kind: str) -> Operation[Any]:
        if kind != "fleet.check":
            raise unknown_kind(kind, self.kinds())
        return FleetCheck()


CONTEXT: Any = SimpleNamespace(obj=SimpleNamespace(operations=Registry(), clock=SystemClock()))
URL = "https://dbre.example"


def exported(target: Target, kind: str | None = None, inputs: list[str] | None = None, **options: Any) -> Any:
    return export(CONTEXT, target, kind, url=URL, inputs=inputs, **options)


def test_the_command_writes_a_file_once(tmp_path: Path) -> None:
    out = tmp_path / "dag.py"
    view = exported(Target.AIRFLOW, "fleet.check", ["cluster=orders", "limit:=5"], reason="nightly", out=out)
    found = settings_in(out.read_text())
    assert found["request"] == {"kind": "fleet.check", "input": {"cluster": "orders", "limit": 5}, "reason": "nightly"}
    assert view.items[0] == {"orchestrator": "airflow", "name": "dbre-fleet-check", "file": str(out)}
    with pytest.raises(UsageError, match="exists"):
        exported(Target.PREFECT, "fleet.check", ["cluster=orders"], out=out)
    exported(Target.PREFECT, "fleet.check", ["cluster=orders"], out=out, overwrite=True)
    assert "from prefect import flow" in out.read_text()
    with pytest.raises(UsageError, match="cannot be written"):
        exported(Target.PREFECT, "fleet.check", ["cluster=orders"], out=tmp_path / "no" / "dag.py")
    printed = exported(Target.PREFECT, "fleet.check", ["cluster=orders"])
    assert printed.text is not None
    assert printed.text + "\n" == out.read_text()


def test_a_plan_is_exported_as_it_is(tmp_path: Path) -> None:
    plan = Plan(target="cluster/orders", summary="look", steps=(Step("look"),))
    planned = PlannedOperation(kind="fleet.check", definition_version=1, input={"cluster": "orders"}, plan=plan)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(planned.document() | {"plan_hash": planned.hash}))
    view = exported(Target.AIRFLOW, plan=path)
    assert settings_in(str(view.text))["request"]["plan"]["plan_hash"] == planned.hash
    path.write_text("{}")
    with pytest.raises(UsageError, match="not a plan"):
        exported(Target.AIRFLOW, plan=path)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("fleet.chek", ["cluster=orders"], "fleet.chek"),
        ("fleet.check", [], "cluster: is missing"),
        ("fleet.check", ["cluster=orders", "limit=many"], "limit"),
        ("fleet.check", ["cluster=orders", "x=1"], "x: is no field"),
        ("fleet.check", ["cluster"], "not KEY=VALUE"),
        ("fleet.check", ["limit:=1e"], "is not JSON"),
        (None, ["cluster=orders"], "either a kind"),
    ],
)
def test_an_input_that_the_operation_does_not_take_is_refused(kind: str | None, inputs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        exported(Target.AIRFLOW, kind, inputs)


def test_a_key_given_twice_is_refused() -> None:
    assert parse_inputs(["a=b=c", "d:=[1]"]) == {"a": "b=c", "d": [1]}
    with pytest.raises(UsageError, match="of its own"):
        parse_inputs(["a=1", "a:=2"])
