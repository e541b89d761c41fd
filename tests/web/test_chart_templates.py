"""Charts as the templates draw them: every point, however many there are."""

from datetime import UTC, datetime, timedelta

import pytest

from dbre.web.charts import line_chart
from dbre.web.templates import _coordinates, _environment

START = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_line_of_many_points_is_drawn_whole() -> None:
    points = [(START + timedelta(minutes=number), (number % 7) / 7) for number in range(1000)]
    chart = line_chart(points, start=START, end=START + timedelta(minutes=1000))
    drawn = str(_environment().get_template("_line_chart.html").module.line_chart(chart, "many"))
    assert len(chart.line) > 10_000
    assert f'points="{chart.line}"' in drawn
    assert f'points="{chart.area}"' in drawn


@pytest.mark.parametrize("text", ['1,2"/><script>', "1,2\n", "a"], ids=["markup", "line end", "letter"])
def test_what_is_no_number_is_no_coordinate(text: str) -> None:
    with pytest.raises(ValueError, match="coordinates are numbers"):
        _coordinates(text)
