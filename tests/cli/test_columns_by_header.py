"""Columns are chosen by key, or by the header that people read."""

import pytest

from dbre.cli.forms import OutputFormat
from dbre.cli.output import OutputOptions
from dbre.core.view import Column, View

VIEW = View(
    kind="SettingList",
    items=[{"name": "work_mem", "held_by": "gate", "value": "4MB"}],
    columns=[Column(key="name", title="PARAMETER"), Column(key="held_by", title="VALUE")],
)


@pytest.mark.parametrize(("asked", "shown"), [("name", "work_mem"), ("parameter", "work_mem"), ("value", "4MB")])
def test_a_key_comes_before_a_header(asked: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = OutputOptions.of(output=OutputFormat.TABLE, columns=asked, sort=None, limit=None, quiet=True)
    options.show(VIEW)
    assert shown in capsys.readouterr().out
