"""Sets of GTIDs as numbers, whatever a server prints."""

from hypothesis import given
from hypothesis import strategies as st

from dbre.engines.mysql.gtid import sequences_of

SOURCE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def test_mariadb_by_domain() -> None:
    assert sequences_of("0-1-42, 7-2-9,0-2-40") == {"0": 42, "7": 9}
    assert sequences_of("") == {}


def test_mysql_by_source_and_tag() -> None:
    assert sequences_of(f"{SOURCE.upper()}:1-5:11-18") == {SOURCE: 13}
    assert sequences_of(f"{SOURCE}:1:Blue:1-3:9,\n{SOURCE}:20") == {SOURCE: 2, f"{SOURCE}:Blue": 4}


def test_a_set_of_a_hundred_thousand_intervals() -> None:
    text = f"{SOURCE}:" + ":".join(str(2 * number + 1) for number in range(100_000))
    assert sequences_of(text) == {SOURCE: 100_000}


@given(st.text(alphabet="0123456789-:,abcF \n\x1b", max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert all(number >= 0 for number in sequences_of(text).values())
