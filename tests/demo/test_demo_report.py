"""The report: one file, no script, no network, and hostile text stays text."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from test_demo_verdict import ACT, START

from dbre.core.errors import UsageError
from dbre.demo.report import require_writable, write_report
from dbre.demo.story import BudgetRow, Mark, Span, Story
from dbre.demo.verdict import judge_act

HOSTILE = '<script>alert(1)</script>"\n\x1b[31m'


def story(**changes: object) -> Story:
    facts: dict[str, object] = {
        "started_at": START - timedelta(seconds=10),
        "ended_at": START + timedelta(seconds=20),
        "server": f"PostgreSQL {HOSTILE}",
        "acts": [ACT],
        "budgets": [
            BudgetRow(
                name="writes",
                description=HOSTILE,
                target="99.99 % in rolling 30d",
                good=19,
                bad=12,
                total=31,
                consumed_ratio=0.0463,
                remaining_seconds=247.2,
                telemetry="ok",
            )
        ],
        "checks": judge_act(ACT),
        "spans": [Span(lane="fault", start=START, end=START + timedelta(seconds=8), label=HOSTILE)],
        "marks": [Mark(at=START + timedelta(seconds=6), label="page arrives")],
        "page_delivery_seconds": 0.065,
        "detection_seconds": 6.1,
        "wall_seconds": 30.0,
    }
    return Story(**facts | changes)  # type: ignore[arg-type]


def test_report_is_self_contained_and_hostile_text_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(story(), path)
    page = path.read_text()
    assert "<script" not in page.lower()
    assert "\x1b" not in page
    assert not re.search(r"(src|href)=", page)
    assert "4.63 %" in page
    assert "All</strong>" not in page
    assert "All of 3 promises were kept" in " ".join(page.split())


def test_broken_promise_stands_in_the_title(tmp_path: Path) -> None:
    from dataclasses import replace

    path = tmp_path / "report.html"
    write_report(story(checks=judge_act(replace(ACT, client_failed=0))), path)
    assert "NOT proved" in path.read_text()


def test_report_without_a_page_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(story(page_delivery_seconds=None, detection_seconds=None, spans=[], marks=[]), path)
    assert "No page arrived" in path.read_text()


@pytest.mark.parametrize("name", [".", "missing/report.html"])
def test_place_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        require_writable(tmp_path / name)
