"""The page about engines says what the engines say."""

from pathlib import Path

import pytest

from dbre.testing import matrix

PAGE = Path(__file__).parents[2] / "docs/reference/engines.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == matrix.page(), "run: python -m dbre.testing.matrix"


def test_check_tells_an_old_page_from_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "engines.md"
    assert matrix.main(["--check", str(path)]) == 1
    assert "out of date" in capsys.readouterr().err
    assert matrix.main([str(path)]) == 0
    assert matrix.main(["--check", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == matrix.page()


def test_every_row_has_as_many_cells_as_its_heading() -> None:
    heading = 0
    for line in matrix.page().splitlines():
        cells = len(line.replace("\\|", "").split("|"))
        if line.startswith(("| facet", "| SQLSTATE")):
            heading = cells
        elif line.startswith("|"):
            assert cells == heading, line
