"""Bank, set, counter, long fork, monotonic, unique ids: each against its definition, and against a planted fault."""

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import Any

import pytest
from consistency_kit import interleaved, judged, names, op
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.history import Call, Op, OpType
from dbre.capabilities.consistency.pairing import calls_of
from dbre.capabilities.consistency.report import Verdict

CHANCE = st.integers(0, 1 << 30).map(Random)
KIND = st.sampled_from(["ok", "ok", "info", "fail"])


def mixed(chance: Random, calls: Sequence[Any]) -> tuple[list[Op], list[Call]]:
    history = list(interleaved(chance, calls, clients=3))
    return history, list(calls_of(history, most=1000))


def answered(f: str, *values: Any) -> list[Op]:
    return [op(kind, number, f, value) for number, value in enumerate(values) for kind in ("invoke", "ok")]


@settings(max_examples=100, deadline=None)
@given(CHANCE, st.lists(st.tuples(KIND, st.integers(-2, 3), st.integers(-1, 4)), min_size=1, max_size=7))
def test_a_counter_is_accused_where_no_choice_of_adds_explains_a_read(chance: Random, drawn: list[Any]) -> None:
    calls = [(k, "add", v, v) if n % 2 else ("ok", "read", None, seen) for n, (k, v, seen) in enumerate(drawn)]
    history, all_calls = mixed(chance, calls)
    broken = False
    for read in all_calls:
        if read.f != "read":
            continue
        adds = [one for one in all_calls if one.f == "add" and one.type is not OpType.FAIL and one.began < read.ended]
        sure = [one for one in adds if one.type is OpType.OK and one.ended < read.began]
        maybe = [one.value for one in adds if one not in sure]
        sums = [sum(some) for size in range(len(maybe) + 1) for some in combinations(maybe, size)]
        base = sum(one.value for one in sure)
        broken |= not base + min(sums) <= read.value <= base + max(sums)
    assert judged(history, workload="counter").verdict is (Verdict.ANOMALY if broken else Verdict.OK)


@settings(max_examples=100, deadline=None)
@given(CHANCE, st.lists(st.tuples(KIND, st.lists(st.integers(0, 5), max_size=5)), min_size=2, max_size=8), st.booleans())
def test_a_set_is_accused_where_a_read_lacks_what_was_known_before_it(chance: Random, drawn: list[Any], strict: bool) -> None:
    calls = [(k, "add", n // 2, n // 2) if n % 2 else ("ok", "read", None, seen) for n, (k, seen) in enumerate(drawn)]
    history, all_calls = mixed(chance, calls)
    reads = [one for one in all_calls if one.f == "read"]
    adds = {one.value: one for one in all_calls if one.f == "add"}
    bad = set()
    for read in reads:
        bad |= {"duplicate"} if len(set(read.value)) < len(read.value) else set()
        for item in set(read.value):
            if item not in adds:
                bad.add("unexpected")
            elif adds[item].type is OpType.FAIL:
                bad.add("resurrected")
    for item in set(adds) | {one for read in reads for one in read.value}:
        seen = [one for one in reads if item in one.value]
        known = [one.ended for one in seen] + [one.ended for one in [adds.get(item)] if one and one.type is OpType.OK]
        lacking = [one.began for one in reads if known and item not in one.value and one.began > min(known)]
        if lacking:
            bad.add("lost" if max(lacking) > max((one.ended for one in seen), default=-1) else "stale")
    report = judged(history, "linearizable" if strict else "durable", workload="set")
    assert names(report) == bad
    assert (report.verdict is Verdict.ANOMALY) == bool(bad if strict else bad - {"stale"})


def test_a_stale_read_beside_one_that_saw_it_later_accuses_nobody_of_losing_it() -> None:
    added = [op("invoke", 0, "add", 1), op("ok", 0, "add", 1)]
    slow, stale = [op("invoke", 1, "read"), op("ok", 1, "read", [1])], [op("invoke", 2, "read"), op("ok", 2, "read", [])]
    report = judged([*added, slow[0], *stale, slow[1]], workload="set")
    assert (report.verdict, names(report)) == (Verdict.OK, {"stale"})
    report = judged([*added, *slow, *stale], workload="set")
    assert (report.verdict, names(report)) == (Verdict.ANOMALY, {"lost"})


@settings(max_examples=100, deadline=None)
@given(CHANCE, st.lists(st.integers(0, 4), min_size=1, max_size=8), st.booleans())
def test_what_only_grows_is_accused_where_somebody_saw_less(chance: Random, values: list[int], in_time: bool) -> None:
    history, reads = mixed(chance, [("ok", "read", None, one) for one in values])
    pairs = [(one, other) for one in reads for other in reads if one.ended < other.began and other.value < one.value]
    report = judged(history, "linearizable" if in_time else "monotonic-reads", workload="monotonic")
    assert ("nonmonotonic-realtime" in names(report)) == bool(pairs)
    assert (report.verdict is Verdict.ANOMALY) == bool(in_time and pairs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_a_long_fork_is_two_reads_of_which_neither_saw_all_of_the_other(reads: list[tuple[bool, ...]]) -> None:
    values = [[["r", key, 1 if seen else None] for key, seen in zip("abc", one, strict=True)] for one in reads]
    forks = [1 for x, y in combinations(reads, 2) if any(p > q for p, q in zip(x, y)) and any(p < q for p, q in zip(x, y))]  # noqa: B905
    assert judged(answered("txn", *values), workload="long-fork").verdict is (Verdict.ANOMALY if forks else Verdict.OK)


def test_money_that_is_gone_an_overdrawn_account_and_a_missing_one_are_told_apart() -> None:
    good, short, below, none, other = {"a": 7, "b": 3}, {"a": 7, "b": 2}, {"a": 11, "b": -1}, {"a": 7, "b": None}, {"a": 10}
    report = judged(answered("read", good, short, below, none, other), workload="bank")
    found = {one.name: one.count for one in report.anomalies}
    assert found == {"wrong-total": 1, "negative-balance": 1, "missing-balance": 1, "different-accounts": 1}
    assert judged(answered("read", good, {"a": 0, "b": 10}), workload="bank").verdict is Verdict.OK


def test_identifiers_given_out_twice_are_counted_and_a_number_is_no_text() -> None:
    assert judged(answered("generate", 1, "1", 2.0, 2, True, {1: "a", "1": 2}, {1: 2, "1": "a"})).verdict is Verdict.OK
    report = judged(answered("generate", 1, 2, 1, 1))
    assert [(one.name, one.count, one.ops) for one in report.anomalies] == [("duplicate", 2, (0, 4))]


@pytest.mark.parametrize("workload", ["bank", "set", "counter", "long-fork", "monotonic", "ledger"])
def test_a_history_in_which_nothing_was_read_shows_nothing(workload: str) -> None:
    acts = {"bank": ("transfer", {}), "long-fork": ("txn", [["w", 1, 1]]), "monotonic": ("write", 1), "ledger": ("write", 1)}
    f, value = acts.get(workload, ("add", 1))
    assert judged(answered(f, value), workload=workload).verdict is Verdict.UNKNOWN
