"""Experiments in files: ours, those of Chaos Toolkit, and what is neither."""

import json
from pathlib import Path
from typing import Any

import pytest

from dbre.capabilities.chaos.chaos_toolkit import translate
from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.experiment_file import ExperimentInvalid, read_experiment, read_plain
from dbre.capabilities.chaos.experiment_plan import plan_of
from dbre.core.errors import UsageError
from dbre.core.operation.plan import LockMode

OURS = """\
api_version: dbre/v1
kind: Experiment
cluster: orders
hypothesis:
  - {name: few sessions, kind: value, instance: one, query: SELECT 1, at_most: 80, when: [during]}
faults:
  - {fault: freeze, instance: one, start: 5s, for: 1m}
  - {fault: disk-ballast, instance: one, parameters: {directory: /srv, leave: 2GB}}
"""


def action(path: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "action", "name": path, "provider": {"type": "process", "path": path, "arguments": arguments}, **more}


def test_a_file_of_ours_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(OURS)
    found = Experiment.model_validate(read_experiment(str(file)))
    assert [(one.fault, one.start_seconds, one.lasts.total_seconds()) for one in found.faults] == [
        ("freeze", 5.0, 60.0),
        ("disk-ballast", 0.0, 30.0),
    ]
    assert found.seconds == 65.0
    assert Experiment.model_validate(found.model_dump(mode="json")) == found
    assert Experiment.model_validate(json.loads(found.model_dump_json(by_alias=True))) == found


def test_the_schema_names_what_a_file_may_say() -> None:
    schema = Experiment.model_json_schema(by_alias=True)
    assert set(schema["required"]) == {"cluster", "faults"}
    assert "for" in schema["$defs"]["FaultOrder"]["properties"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- one\n", "holds no experiment"),
        ("cluster: [", "experiment.yaml:2:1: not valid YAML"),
        ("\x07", "experiment.yaml"),
        ("method: []\n", "is an experiment of Chaos Toolkit"),
    ],
    ids=["list", "unclosed", "control character", "another tool's"],
)
def test_what_is_no_experiment_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_experiment(str(file))
    with pytest.raises(UsageError, match="cannot be read"):
        read_plain(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "fault: freeze",
            "fault: freze",
            r"experiment\.yaml:7:5: experiment\.faults\[0\]: 'freze' is not a fault \(did you mean freeze\?\)",
        ),
        ("leave: 2GB", "leav: 2GB", r"experiment\.yaml:8:5: experiment\.faults\[1\]: disk-ballast: leav: .*its parameters: "),
        ("start: 5s", "begin: 5s", r"experiment\.yaml:7:36: experiment\.faults\[0\]: unknown key 'begin'"),
        ("for: 1m", "for: 2h", r"experiment\.yaml:7:52: experiment\.faults\[0\]\.for: "),
        (
            "at_most: 80, ",
            "",
            r"experiment\.yaml:5:5: experiment\.hypothesis\[0\]: probe 'few sessions' .* needs at_least or at_most",
        ),
        (
            "when: [during]",
            "when: [middle]",
            r"experiment\.yaml:5:91: experiment\.hypothesis\[0\]\.when\[0\]: expected one of before",
        ),
        ("cluster: orders\n", "", r"experiment\.yaml:1:1: experiment\.cluster is missing"),
    ],
    ids=["unknown fault", "unknown parameter", "unknown key", "too long", "no limit", "no such time", "no cluster"],
)
def test_what_is_wrong_with_an_experiment_is_told_with_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = tmp_path / "experiment.yaml"
    assert old in OURS
    file.write_text(OURS.replace(old, new))
    with pytest.raises(ExperimentInvalid, match=words):
        read_experiment(str(file))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "value", "instance": "one", "query": "SELECT 1"},
        {"kind": "burn", "slo": "writes"},
        {"kind": "answers"},
        {"kind": "answers", "instance": "one", "when": []},
        {"kind": "answers", "instance": "one", "within": "1h"},
    ],
    ids=["value without a limit", "burn without a limit", "answers of nobody", "never", "an hour"],
)
def test_probes_that_could_not_fail_are_refused(wrong: dict[str, Any]) -> None:
    given = {"cluster": "orders", "faults": [{"fault": "freeze", "instance": "one"}], "hypothesis": [{"name": "it", **wrong}]}
    with pytest.raises(ValueError, match=r"it|when|within"):
        Experiment.model_validate(given)


def test_what_chaos_toolkit_does_is_translated_or_told() -> None:
    given = {
        "title": "Does it\x1b[2J survive?",
        "steady-state-hypothesis": {
            "title": "up",
            "probes": [{"type": "probe", "name": "http ok", "provider": {"type": "http"}}],
        },
        "method": [
            action("/usr/bin/pkill", "-STOP -f postgres", pauses={"before": 5, "after": 20}),
            action("fallocate", ["-l", "2G", "/srv/data/ballast"]),
            action("rm", "-rf /"),
            {"type": "action", "name": "pods", "provider": {"type": "python", "module": "chaosk8s", "func": "kill"}},
            "nonsense",
        ],
        "rollbacks": [action("pkill", "-CONT -f postgres")],
    }
    found = translate(given, cluster="orders", instance="one")
    document = Experiment.model_validate(found.document)
    assert [(one.fault, one.start_seconds, one.lasts.total_seconds()) for one in document.faults] == [
        ("freeze", 5.0, 20.0),
        ("disk-ballast", 25.0, 30.0),
    ]
    assert document.faults[1].parameters == {"directory": "/srv/data", "size": "2GiB"}
    assert "\x1b" not in document.title
    assert [one.split(":")[0] for one in found.untranslated] == ["method", "method", "method", "steady state", "rollback"]
    with pytest.raises(UsageError, match="nothing of its method"):
        translate({"method": [action("rm", "-rf /")]}, cluster="orders", instance="one")
    with pytest.raises(UsageError, match="no method"):
        translate({}, cluster="orders", instance="one")


@pytest.mark.parametrize(
    ("fault", "lock"),
    [
        ({"fault": "freeze"}, LockMode.YIELDING),
        ({"fault": "crash"}, LockMode.YIELDING),
        ({"fault": "crash", "parameters": {"restart": "same"}}, LockMode.EXCLUSIVE),
        ({"fault": "clock-skew", "parameters": {"ahead": "5m", "restarts": True}}, LockMode.EXCLUSIVE),
    ],
    ids=["frozen", "somebody starts it", "the injector starts it", "started with a library"],
)
def test_a_failover_may_answer_an_experiment_that_starts_no_server(fault: dict[str, Any], lock: LockMode) -> None:
    experiment = Experiment.model_validate({"cluster": "orders", "faults": [{"instance": "one", **fault}]})
    assert plan_of(experiment, {"one": "primary", "two": "replica"}).lock is lock
