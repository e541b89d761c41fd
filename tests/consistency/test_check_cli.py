"""``dbre check`` as a person and a script call it."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from consistency_kit import op, serial

from dbre.app import Application
from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.writing import write_edn, write_jsonl
from dbre.cli import root

SKEW = serial([["r", "x", []], ["append", "y", 1]], [["r", "y", []], ["append", "x", 1]])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = root.main(Application, ["check", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def written(history: list[Op], name: str = "history.jsonl") -> str:
    data = b"".join(write_jsonl(history)) if name.endswith("jsonl") else "".join(write_edn(history)).encode()
    Path(name).write_bytes(data)
    return name


def test_an_anomaly_ends_with_3_and_its_proof(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, written(SKEW))
    assert code == 3
    assert out.startswith("anomaly: list-append of 2 calls is not as serializable promises: G2-item\n")
    assert "T0 comes before T1: it read 'x' without 1, which the other appended" in out
    assert "so it cannot be: repeatable-read, nor anything stronger" in out


def test_what_the_model_allows_ends_with_0_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, written(SKEW, "history.edn"), "--model", "snapshot-isolation")
    assert code == 0
    assert "snapshot-isolation allows it" in out


def test_what_was_not_decided_ends_with_9(capsys: pytest.CaptureFixture[str]) -> None:
    history = [op("invoke", 1, "write", 1), op("ok", 1, "write", 1)]
    code, out, _ = run(capsys, written(history), "--workload", "ledger")
    assert code == 9
    assert "not decided: nothing was read" in out


def test_json_says_it_all_and_nagios_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    name = written(SKEW)
    code, out, _ = run(capsys, name, "-o", "json")
    item = json.loads(out)["item"]
    assert (code, item["verdict"], item["workload"], item["calls"]) == (3, "anomaly", "list-append", 2)
    assert item["anomalies"][0]["ops"] == [0, 1]
    code, out, _ = run(capsys, name, "-o", "nagios")
    assert (code, out.split(":")[0]) == (2, "CRITICAL - anomaly") or (code, "CRITICAL" in out) == (2, True)


def test_a_history_comes_through_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(write_jsonl(serial([["append", "x", 1]], [["r", "x", [1]]])))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert run(capsys, "-")[0] == 0


def test_it_is_written_for_elle_and_judged_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, written(SKEW), "--export", "elle.edn")[0] == 3
    assert Path("elle.edn").stat().st_mode & 0o777 == 0o600
    assert run(capsys, "elle.edn")[0] == 3
    code, _, err = run(capsys, "history.jsonl", "--export", "elle.edn")
    assert (code, "File exists" in err) == (2, True)
    code, _, err = run(capsys, "history.jsonl", "--export", "elle.txt")
    assert (code, "neither .jsonl nor .edn" in err) == (2, True)
    assert run(capsys, "history.jsonl", "--export", "half.jsonl", "--max-ops", "3")[0] == 2
    assert not Path("half.jsonl").exists(), "half a history stands in the way of the next try"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.jsonl"], "'nowhere.jsonl' cannot be read: No such file or directory"),
        (["."], "'.' cannot be read: Is a directory"),
        (["history.jsonl", "--workload", "list-apend"], "did you mean list-append?"),
        (["history.jsonl", "--model", "serialisable"], "did you mean serializable?"),
        (["history.jsonl", "--model", "linearizable"], "is no model of workload list-append"),
        (["history.jsonl", "--workload", "bank"], "f 'txn' is no act of this workload"),
        (["history.jsonl", "--total", "5"], "terms of a bank, and this is list-append"),
        (["history.jsonl", "--time-limit", "soon"], "soon"),
        (["history.jsonl", "--max-ops", "3"], "more than 3 ops"),
        (["empty.jsonl"], "no op of a client"),
    ],
    ids=["missing", "directory", "workload", "model", "other-model", "other-workload", "terms", "time", "ops", "empty"],
)
def test_bad_input_is_one_error_with_a_remedy(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(SKEW)
    Path("empty.jsonl").touch()
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "hint: " in err


def test_text_from_a_history_changes_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\u202e"
    code, out, _ = run(
        capsys, written(serial([["r", hostile, []], ["append", "y", 1]], [["r", "y", []], ["append", hostile, hostile]]))
    )
    assert code == 3
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_without_numpy_the_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.split(".")[0] in {"numpy", "scipy"} or "consistency.graphs" in one]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    code, _, err = run(capsys, written(SKEW))
    assert (code, "pip install 'dbre[check]'" in err) == (5, True)
    history = [op(kind, 0, "generate", 1) for kind in ("invoke", "ok")]
    assert run(capsys, written(history))[0] == 0, "what needs no graph needs no extra"
