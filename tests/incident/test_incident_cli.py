"""``dbre incident`` from the first word to the closed postmortem, in-process on a real state store."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbre.app import Application
from dbre.cli import root
from dbre.core.errors import ExitCode

Run = Callable[..., tuple[int, str, str]]
_CONFIG = """
fleet:
  clusters:
    - {name: orders, engine: postgresql, environment: prod, instances: [{name: orders-1, host: 127.0.0.1, port: 1}]}
state: {url: "sqlite:///dbre.db"}
"""


@pytest.fixture
def run(migrated_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "dbre.yaml").write_text(_CONFIG)
    shutil.copy(migrated_file, tmp_path / "dbre.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DBRE_SERVER", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = root.main(Application, list(words))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def _item(run: Run, *words: str) -> dict[str, Any]:
    code, out, err = run(*words, "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    return dict(document["item"] if "item" in document else document["items"][0])


def test_an_incident_from_its_declaration_to_its_closing(run: Run, tmp_path: Path) -> None:
    opened = _item(run, "incident", "open", "writes fail", "--cluster", "orders", "--severity", "SEV1", "--started", "10m")
    assert (opened["name"], opened["state"], opened["severity"]) == ("INC-1", "declared", "sev1")
    code, out, _ = run("incident", "list", "-o", "nagios")
    assert code == 2
    assert "INC-1 sev1 writes fail" in out
    assert _item(run, "incident", "ack", "1")["state"] == "investigating"
    _item(run, "incident", "note", "1", "out of disk")
    _item(run, "incident", "move", "1", "identified", "-m", "the log grew")
    _item(run, "incident", "set", "1", "--root-cause", "a slot that nobody read", "--data-loss")
    _item(run, "incident", "mitigate", "1")
    assert _item(run, "incident", "resolve", "1")["is_open"] is False
    code, _, err = run("incident", "close", "1")
    assert code == ExitCode.REFUSED
    assert "needs a postmortem: it is a sev1; data was lost" in err
    code, out, _ = run("incident", "postmortem", "draft", "1")
    assert "a slot that nobody read" in out
    (tmp_path / "ours.md").write_text("# Ours\n\npassword=hunter2\x1b[2J\n")
    assert _item(run, "incident", "postmortem", "edit", "1", "ours.md")["revision"] == 2
    code, out, _ = run("incident", "postmortem", "show", "1")
    assert "hunter2" in out
    assert "\x1b" not in out
    code, out, err = run("incident", "postmortem", "export", "1")
    assert "hunter2" not in out
    assert "1 place blackened" in err
    assert _item(run, "incident", "postmortem", "review", "1")["state"] == "reviewed"
    assert _item(run, "incident", "action", "add", "1", "alert on slots", "--owner", "ann", "--due", "14d")["name"] == "INC-1/1"
    assert _item(run, "incident", "close", "1")["state"] == "closed"
    assert _item(run, "incident", "action", "done", "INC-1/1", "-m", "merged")["state"] == "done"
    code, out, _ = run("incident", "show", "1")
    assert "root cause:      a slot that nobody read" in out
    assert out.index("out of disk") < out.rindex("closed")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("incident", "show", "INC-9"), ExitCode.USAGE, "there is no incident"),
        (("incident", "open", "x", "--cluster", "order"), ExitCode.USAGE, "no cluster is named"),
        (("incident", "open", "x", "--severity", "p1"), ExitCode.USAGE, "is not a severity"),
        (("incident", "open", "  "), ExitCode.USAGE, "1 to 200 characters"),
        (("incident", "set", "1"), ExitCode.USAGE, "nothing is to be set"),
        (("incident", "move", "1", "reviewd"), ExitCode.USAGE, "did you mean reviewed"),
        (("incident", "action", "done", "1"), ExitCode.USAGE, "is not the name of an action"),
        (("incident", "postmortem", "edit", "1", "missing.md"), ExitCode.USAGE, "cannot be read"),
    ],
)
def test_slips_of_the_pen_are_said_in_plain_words(run: Run, words: tuple[str, ...], code: ExitCode, said: str) -> None:
    got, _, err = run(*words)
    assert (got, said in err) == (code, True), err


def test_a_control_plane_elsewhere_is_not_mistaken_for_this_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBRE_SERVER", "http://127.0.0.1:1")
    code, _, err = run("incident", "list")
    assert code == ExitCode.USAGE
    assert "of this machine" in err
