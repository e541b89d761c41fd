"""``control:`` of an instance: what is read of it, and what is refused with its place."""

from pathlib import Path

import pytest

from dbre.core.config import ConfigInvalid, load
from dbre.core.control import Control, ControlKind
from dbre.core.fleet import Fleet
from dbre.core.fleet_document import FLEET, build_fleet

PORTS = {"postgresql": 5432, "mysql": 3306, "redis": 6379}


def fleet_of(tmp_path: Path, *instances: str, engine: str = "postgresql") -> Fleet:
    lines = ["fleet:", "  clusters:", "    - name: c", f"      engine: {engine}", "      instances:"]
    file = tmp_path / "dbre.yaml"
    file.write_text("\n".join([*lines, *(f"        - {one}" for one in instances)]) + "\n")
    return build_fleet(load([file], sections=[FLEET], environment={}, flags={}), default_ports=PORTS)


def test_each_kind_is_read(tmp_path: Path) -> None:
    fleet = fleet_of(
        tmp_path,
        "{name: a, host: h1, control: {kind: pg_ctl, data_directory: data, bindir: /opt/bin}}",
        "{name: b, host: h2, control: {kind: systemd, unit: postgresql@15-main}}",
        "{name: c, host: h3, control: {kind: commands, start: [/bin/a, b c], stop: [/bin/d], data_directory: /x}}",
        "{name: d, host: h4}",
    )
    found = [one.control for one in fleet.cluster("c").instances]
    assert found == [
        Control(kind=ControlKind.PG_CTL, data_directory=tmp_path / "data", bindir=Path("/opt/bin")),
        Control(kind=ControlKind.SYSTEMD, unit="postgresql@15-main"),
        Control(kind=ControlKind.COMMANDS, start=("/bin/a", "b c"), stop=("/bin/d",), data_directory=Path("/x")),
        None,
    ]


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        ("{kind: pg_ctl}", r"instances\[0\]\.control\.data_directory"),
        ("{kind: docker}", "expected one of pg_ctl, systemd, commands"),
        ("{kind: systemd, unit: '-rm'}", "unit"),
        ("{kind: systemd, unit: 'a b; c'}", "unit"),
        ("{kind: commands, start: [pg_ctl], stop: [/b]}", "must be an absolute path, not 'pg_ctl'"),
        ("{kind: commands, start: [], stop: [/b]}", "control.start"),
        ("{kind: commands, start: [/a], stop: [/b], unit: u}", "unit"),
    ],
    ids=["no-directory", "unknown", "option", "shell", "relative", "empty", "strange-key"],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, control: str, problem: str) -> None:
    with pytest.raises(ConfigInvalid, match=problem):
        fleet_of(tmp_path, f"{{name: a, host: h, control: {control}}}")


def test_two_servers_of_one_machine_share_nothing(tmp_path: Path) -> None:
    same = "control: {kind: pg_ctl, data_directory: /data}"
    with pytest.raises(ConfigInvalid, match="another instance of h has it"):
        fleet_of(tmp_path, f"{{name: a, host: h, {same}}}", f"{{name: b, host: h, port: 5433, {same}}}")
    assert len(fleet_of(tmp_path, f"{{name: a, host: h, {same}}}", f"{{name: b, host: i, {same}}}").cluster("c").instances) == 2


def test_pg_ctl_starts_no_other_engine(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="pg_ctl starts PostgreSQL only"):
        fleet_of(tmp_path, "{name: a, host: h, control: {kind: pg_ctl, data_directory: /d}}", engine="redis")
