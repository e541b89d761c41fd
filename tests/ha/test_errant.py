"""What a node has that its primary lacks, by who wrote it: exact where both tell, silent where nobody can know."""

from typing import Any

import pytest
from ha_kit import follows, primary, replica, topology

from dbre.capabilities.ha.errant import errant_of, is_comparable
from dbre.capabilities.ha.findings import findings_of
from dbre.engines.mysql.gtid import writers_of


def node(number: int, *texts: str, **given: Any) -> Any:
    return primary(number, timeline=None, system_id=None, writer=str(number), writers=writers_of(*texts), **given)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("0-1-7082", "0-1-7080,0-2-7090", "domain 0, server 1: transactions 7081 to 7082", id="wrote-on"),
        pytest.param("0-1-7081", "0-1-7080,0-2-7090", "domain 0, server 1: transactions 7081", id="one"),
        pytest.param("0-1-10,7-1-5", "0-1-10,0-2-11,7-1-3", "domain 7, server 1: transactions 4 to 5", id="another-domain"),
        pytest.param(
            "0-1-12,7-1-5", "0-1-10,7-1-4", "domain 0, server 1: transactions 11 to 12; domain 7, server 1: transactions 5",
            id="both-domains",
        ),
        pytest.param("0-1-10,0-2-99", "0-1-10,0-2-90", None, id="primary-went-on-meanwhile"),
        pytest.param("0-1-10,0-2-99", "0-2-99", None, id="primary-is-a-copy-that-never-saw-the-writer"),
        pytest.param("0-1-10,0-3-11,0-2-99", "0-1-10,0-2-99", None, id="writer-unknown-and-older"),
        pytest.param("0-3-100", "0-1-10,0-2-99", "domain 0, server 3: transactions 11 to 100", id="writer-unknown-and-newer"),
        pytest.param("0-1-2", "0-2-2", "domain 0, server 1: transactions 1 to 2", id="nothing-in-common"),
        pytest.param("0-1-2", "0-2-200", "domain 0, server 1: transactions 1 to 2", id="primary-wrote-more-of-its-own"),
    ],
)  # fmt: skip
def test_ranges_that_only_the_old_primary_has(old: str, new: str, told: str | None) -> None:
    found = findings_of(topology(node(1, old, is_writable=False), node(2, new)))
    words = [one.summary for one in found if one.rule == "ha.errant_transactions"]
    assert words == ([f"n1 has what primary n2 does not: {told}"] if told is not None else [])


def test_what_was_applied_before_the_log_began_counts_as_had() -> None:
    found = findings_of(topology(node(1, "0-1-40", is_writable=False), node(2, "0-2-41", "0-1-40")))
    assert not [one for one in found if one.rule == "ha.errant_transactions"]


def test_who_follows_a_stranger_may_have_more() -> None:
    view = {"timeline": None, "system_id": None, "writer": "1", "writers": writers_of("0-1-50")}
    found = findings_of(topology(node(2, "0-1-10,0-2-20"), replica(1, follows(9), **view)))
    assert not [one for one in found if one.rule == "ha.errant_transactions"]


def test_sets_of_mysql_are_counted_by_source_and_tag() -> None:
    one, two = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
    old = primary(1, writer=one, writers=writers_of(f"{one}:1-7:x:1-2,{two}:1-3"), is_writable=False)
    new = primary(2, writer=two, writers=writers_of(f"{one}:1-5:x:1-2,{two}:1-9"))
    (found,) = [one for one in findings_of(topology(old, new)) if one.rule == "ha.errant_transactions"]
    assert found.summary.endswith(f"server {one}: transactions 6 to 7")


@pytest.mark.parametrize(
    ("old", "new", "is_known"),
    [
        pytest.param((), writers_of("0-2-90"), True, id="never-wrote-anything"),
        pytest.param((), (), True, id="both-empty"),
        pytest.param(writers_of("0-1-5"), (), False, id="primary-whose-log-begins-late"),
        pytest.param(None, writers_of("0-2-90"), False, id="keeps-no-log"),
        pytest.param((), None, False, id="primary-keeps-no-log"),
    ],
)
def test_an_empty_log_is_nothing_and_no_log_is_unknown(old: Any, new: Any, is_known: bool) -> None:
    mine, theirs = primary(1, writer="1", writers=old).view, primary(2, writer="2", writers=new).view
    assert mine is not None
    assert theirs is not None
    assert is_comparable(mine, theirs) is is_known
    assert errant_of(mine, theirs) == ()
