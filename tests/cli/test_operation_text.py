"""How far a step is, as people read it."""

import pytest

from dbre.cli.operation_text import progress_text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        ({"done": 31_471_600, "total": 62_943_200, "unit": "bytes"}, "30.0 MiB of 60.0 MiB (50%)"),
        ({"done": 1_500_000, "total": 4_000_000, "unit": "rows"}, "1500000 of 4000000 rows (38%)"),
        ({"done": 2.5, "total": None, "unit": "s"}, "2.5 s"),
        ({"done": 0, "total": 0, "unit": "bytes"}, "0 B"),
        ({"total": 3}, ""),
    ],
    ids=["bytes", "rows", "no_end", "empty", "nothing"],
)
def test_progress_is_told_in_units_of_people(progress: dict[str, object], text: str) -> None:
    assert progress_text(progress) == text
