"""List-append against the definition: every order of the transactions is tried, and the checker says the same."""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from consistency_kit import Store, history_of, is_serializable, is_snapshot_isolated, judged, names
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.report import Verdict

LEVELS = st.sampled_from(["none", "none", "snapshot", "atomic"])
CHANCE = st.integers(0, 1 << 30).map(Random)


@pytest.mark.parametrize(
    ("model", "transactions", "is_so"),
    [
        ("serializable", 5, partial(is_serializable, in_real_time=False)),
        ("strict-serializable", 5, partial(is_serializable, in_real_time=True)),
        ("snapshot-isolation", 4, is_snapshot_isolated),
    ],
    ids=["serializable", "strict", "snapshot"],
)
@settings(max_examples=100, deadline=None)
@given(CHANCE, LEVELS)
def test_it_says_ok_exactly_where_there_is_an_order(
    model: str, transactions: int, is_so: Callable[[list[Op]], bool], chance: Random, level: str
) -> None:
    """For snapshot isolation: where begins and commits can be found."""
    history = history_of(chance, Store(level=level), transactions=transactions)
    report = judged(history, model, workload="list-append")
    event(report.verdict)
    assert (report.verdict is Verdict.OK) == is_so(history), report


@settings(max_examples=80, deadline=None)
@given(CHANCE)
def test_an_unread_end_of_a_list_is_judged_as_exactly(chance: Random) -> None:
    """Without the last read nobody saw the newest elements: they come after all that was seen."""
    history = history_of(chance, Store(level="none"), transactions=5)[:-2]
    report = judged(history, "serializable", workload="list-append") if history else None
    if report is not None and report.ok_calls:
        assert (report.verdict is Verdict.OK) == is_serializable(history, in_real_time=False), report


@pytest.mark.parametrize(
    ("level", "model", "never"),
    [
        ("atomic", "strict-serializable", set()),
        ("snapshot", "snapshot-isolation", {"G-single", "G-nonadjacent", "lost-update"}),
    ],
    ids=["serializable", "snapshot"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_store_that_keeps_its_promise_is_never_accused(level: str, model: str, never: set[str], seed: int) -> None:
    history = history_of(Random(seed), Store(level=level), transactions=2_000, clients=20, keys="abcdefgh")
    report = judged(history, model)
    assert report.verdict is Verdict.OK, report
    assert not names(report) & never
    if level == "atomic":
        assert not report.anomalies
