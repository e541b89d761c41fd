"""``dbre stack check``, as a person and a monitoring system run it."""

import json
import socket
from pathlib import Path

import pytest

from dbre.app import Application
from dbre.cli import root


def run(directory: Path, capsys: pytest.CaptureFixture[str], config: str, *words: str) -> tuple[int, str, str]:
    (directory / "dbre.yaml").write_text(config)
    code = root.main(Application, ["--config", str(directory / "dbre.yaml"), "stack", "check", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_exit_codes_tell_what_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        there, gone = listening.getsockname()[1], taken.getsockname()[1]
        config = (
            f'stack:\n- {{name: there, kind: tcp, url: "tcp://127.0.0.1:{there}"}}\n'
            f'- {{name: gone, kind: tcp, url: "tcp://127.0.0.1:{gone}"}}\n'
            f'- {{name: web, kind: http, url: "http://127.0.0.1:{gone}"}}\n'
        )
        code, out, _ = run(tmp_path, capsys, config, "-o", "json")
        states = {one["service"]: one["state"] for one in json.loads(out)["items"]}
        assert (code, states) == (3, {"there": "up", "gone": "down", "web": "down"})
        assert run(tmp_path, capsys, config, "there")[0] == 0
        code, out, _ = run(tmp_path, capsys, config, "-o", "nagios")
        assert (code, "CRITICAL" in out, "gone down: connection refused" in out) == (2, True, True)
        assert "web down: connection refused" in out
        code, out, _ = run(tmp_path, capsys, config, "there", "--timeout", "2s", "-o", "nagios")
        assert (code, "services up: 1" in out) == (0, True)
        assert "| 'there_latency_seconds'=" in out  # by name: its place among the services may change


def test_nothing_to_check_is_said_and_wrong_names_are_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(tmp_path, capsys, "{}\n")
    assert (code, "no service is configured" in out + err) == (0, True)
    assert run(tmp_path, capsys, "{}\n", "-o", "nagios")[0] == 3  # nothing is known
    config = 'stack: [{name: broker, kind: tcp, url: "tcp://127.0.0.1:1"}]\n'
    code, _, err = run(tmp_path, capsys, config, "brokre")
    assert (code, "did you mean broker?" in err) == (2, True)
    assert run(tmp_path, capsys, config, "--fail-on", "late")[0] == 2
    code, _, err = run(tmp_path, capsys, 'stack: [{name: a, kind: tcp, url: "tcp://u:s3cret-x@h:1"}]\n')
    assert (code, "s3cret-x" in err) == (2, False), err
