"""Names that another section of the configuration does not have."""

from pathlib import Path

import pytest

from dbre.app import Application
from dbre.cli import root

SLO = """
  - name: {name}
    selector: {{cluster: orders}}
    target: 99.9%
    window: {{rolling: 7d}}
    sli: {sli}"""


def validate(directory: Path, capsys: pytest.CaptureFixture[str], server: str, service: str) -> tuple[int, str]:
    config = directory / "dbre.yaml"
    config.write_text(
        'prometheus: [{name: main, url: "http://127.0.0.1:9090"}]\n'
        'stack: [{name: broker, kind: tcp, url: "tcp://127.0.0.1:1"}]\nslos:'
        + SLO.format(name="a", sli=f"{{kind: prometheus, server: {server}, bad: errors_total, total: requests_total}}")
        + SLO.format(name="b", sli=f"{{kind: service, service: {service}}}")
    )
    code = root.main(Application, ["--config", str(config), "config", "validate"])
    return code, capsys.readouterr().err.replace(f"{directory}/", "")


def test_servers_and_services_that_do_not_exist_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = validate(tmp_path, capsys, "man", "gone")
    assert code == 2
    assert err.splitlines()[:3] == [
        "dbre: the configuration has 2 problems:",
        "dbre:   dbre.yaml:8:29: slos[0].sli.server: no server is named man in the section prometheus (did you mean main?)",
        "dbre:   dbre.yaml:13:26: slos[1].sli.service: no service is named gone in the section stack (add it there)",
    ]
    assert validate(tmp_path, capsys, "main", "broker")[0] == 3  # no cluster yet: they measure nothing
