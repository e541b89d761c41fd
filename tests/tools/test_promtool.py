"""Asking promtool, vmalert and amtool: which is asked, what is told where none is there, and that none outlives us."""

import shutil
from pathlib import Path

import pytest

from dbre.core.errors import DbreError
from dbre.lab.processes import Process
from dbre.testing.monitoring_fixtures import require_tool
from dbre.tools.promtool import NoChecker, check_alertmanager, check_rules, run_rule_tests

GOOD = "groups: [{name: g, rules: [{record: 'a:b', expr: 'up'}]}]"


def only(directory: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """A path on which there are just these programs."""
    programs = directory / "bin"
    programs.mkdir()
    for name in names:
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))


async def test_rules_are_checked_by_promtool_or_else_by_vmalert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_tool("promtool")
    require_tool("vmalert")
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("'up'", "'sum('"))
    assert (await check_rules(good)).tool == "promtool"
    assert "parse error" in (await check_rules(bad)).output
    only(tmp_path, monkeypatch, "vmalert")
    found = await check_rules(good)
    assert (found.tool, found.is_good) == ("vmalert", True)
    assert not (await check_rules(bad)).is_good


async def test_without_a_program_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(tmp_path, monkeypatch)
    for ask in (check_rules, run_rule_tests, check_alertmanager):
        with pytest.raises(NoChecker) as missing:
            await ask(tmp_path / "x.yml")
        assert "apt: prometheus" in str(missing.value.hint)


async def test_a_program_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, note = tmp_path / "promtool", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {note}\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DbreError, match="promtool did not end within 3 s"):
        await check_rules(tmp_path / "x.yml", timeout_seconds=3)
    left = Process.read(int(note.read_text()))
    assert left is None or not left.is_alive
