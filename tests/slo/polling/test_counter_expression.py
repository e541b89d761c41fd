"""Expressions whose increase can be counted, and queries that can be asked."""

from datetime import timedelta
from decimal import Decimal

import pytest

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.polling.answer import InvalidQuery, answer_counts, check_query
from dbre.capabilities.slo.polling.expression import InvalidExpression, check_counter, for_cluster


@pytest.mark.parametrize(
    "text",
    [
        'http_requests_total{code=~"5..",db="{cluster}"}',
        'a_total or label_replace(b_total, "x", "sum(", "y", ".*")',
        "mysql_errors_total{name='rate(x)'}",
        "sum_of_things_total",
        "(a_total unless on(instance) b_total)",
    ],
)
def test_counters_pass(text: str) -> None:
    assert check_counter(text) == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sum(rate(a_total[5m]))", r"sum\(\)"),
        ("sum by (job) (a_total)", r"sum\(\)"),
        ("increase(a_total[1h])", r"increase\(\)"),
        ("last_over_time(a_total[1h])", "last_over_time"),
        ("a_total[5m]", "range"),
        ("a_total{", "without"),
        ("  ", "empty"),
    ],
)
def test_what_hides_resets_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(InvalidExpression, match=word):
        check_counter(text)


def test_a_hostile_cluster_stays_inside_its_string() -> None:
    hostile = 'x"} or vector(1) #\n\\'
    assert for_cluster('a{c="{cluster}"}', hostile) == 'a{c="x\\"} or vector(1) #\\n\\\\"}'
    assert for_cluster("a{c='{cluster}'}", "it's") == "a{c='it\\'s'}"
    assert for_cluster("a{c=`{cluster}`}", "a`b") == "a{c=`ab`}"
    assert for_cluster("a{cluster}", "orders") == "a{cluster}"  # no string, no name: the server will say what is wrong


@pytest.mark.parametrize("text", ["SELECT 1 AS value", " -- age\n with a as (select 1) SELECT ';' AS value;", "(VALUES (1))"])
def test_queries_pass(text: str) -> None:
    assert check_query(text) == text


@pytest.mark.parametrize("text", ["", "DELETE FROM a", "SELECT 1; SELECT 2", "SET ROLE x", "selection"])
def test_what_is_no_single_query_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        check_query(text)


def test_an_answer_is_one_event_or_as_many_as_it_says() -> None:
    assert answer_counts({"value": 300}, 300.0) == Counts(good=1)
    assert answer_counts({"VALUE": Decimal("300.1")}, 300.0) == Counts(bad=1)
    assert answer_counts({"value": timedelta(minutes=6)}, 300.0) == Counts(bad=1)
    assert answer_counts({"good": 8, "total": Decimal(10)}, None) == Counts(good=8, bad=2)
    assert answer_counts({"good": 0, "total": 0}, None) == Counts()


def test_null_is_missed_neither_zero_nor_bad() -> None:
    assert answer_counts({"value": None}, 1.0) == Counts(missed=1)
    assert answer_counts({"good": None, "total": 5}, None) == Counts(missed=1)


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ({"age": 1}, 1.0),
        ({}, 1.0),
        ({"value": "1"}, 1.0),
        ({"value": True}, 1.0),
        ({"value": float("nan")}, 1.0),
        ({"good": 3, "total": 2}, None),
        ({"good": -1, "total": 2}, None),
        ({"good": 0.5, "total": 2}, None),
        ({"good": 0, "total": 10**12}, None),
    ],
)
def test_an_answer_that_is_no_measurement_is_refused_never_clamped(row: dict[str, object], limit: float | None) -> None:
    with pytest.raises(InvalidQuery):
        answer_counts(row, limit)
