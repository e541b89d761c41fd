"""Registers against the definition: every order is tried, of single calls and of transactions."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from consistency_kit import interleaved, judged, op, serial, transactions_of
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.history import Call, Op, OpType
from dbre.capabilities.consistency.report import Limits, Verdict

VALUES = st.sampled_from([0, 1, None])
KIND = st.sampled_from(["ok", "ok", "ok", "info", "fail"])
CALLS = st.lists(
    st.one_of(
        st.tuples(KIND, st.just("read"), st.none(), VALUES),
        st.tuples(KIND, st.just("write"), st.integers(0, 1)).map(lambda one: (*one, one[2])),
        st.tuples(KIND, st.just("cas"), st.lists(st.integers(0, 1), min_size=2, max_size=2)).map(lambda one: (*one, one[2])),
    ),
    min_size=1,
    max_size=6,
)
CHANCE = st.integers(0, 1 << 30).map(Random)


def is_linearizable(history: Sequence[Op]) -> bool:
    calls = [one for one in transactions_of(history) if one.type is OpType.OK or one.f != "read"]

    def goes_on(left: frozenset[int], value: Any) -> bool:
        if all(calls[one].type is not OpType.OK for one in left):
            return True
        for one in left:
            call = calls[one]
            if any(calls[other].type is OpType.OK and calls[other].ended < call.began for other in left - {one}):
                continue
            if (call.f == "read" and call.value != value) or (call.f == "cas" and call.value[0] != value):
                continue
            after = {"read": value, "write": call.value}.get(call.f) if call.f != "cas" else call.value[1]
            if goes_on(left - {one}, after):
                return True
        return False

    return goes_on(frozenset(range(len(calls))), None)


@settings(max_examples=150, deadline=None)
@given(CHANCE, CALLS)
def test_it_says_linearizable_exactly_where_there_is_an_order(chance: Random, calls: list[Any]) -> None:
    history = list(interleaved(chance, calls, clients=4))
    report = judged(history, workload="register")
    event(report.verdict)
    assert (report.verdict is Verdict.ANOMALY) == (not is_linearizable(history)), report


@settings(max_examples=40, deadline=None)
@given(CHANCE, CALLS, CALLS)
def test_keys_are_judged_apart(chance: Random, one: list[Any], other: list[Any]) -> None:
    def keyed(key: str, calls: list[Any]) -> list[Any]:
        return [(kind, f, [key, asked], [key, answered]) for kind, f, asked, answered in calls]

    history = list(interleaved(chance, keyed("a", one) + keyed("b", other), clients=4))
    broken = 0
    for key in "ab":
        alone = [
            Op(type=each.type, process=each.process, f=each.f, value=each.value[1]) for each in history if each.value[0] == key
        ]
        broken += not is_linearizable(alone)
    report = judged(history, workload="register")
    assert (report.verdict is Verdict.ANOMALY) == bool(broken)
    assert report.facts["keys"] <= 2


def test_a_stale_read_is_proved_with_what_the_register_could_hold() -> None:
    history = [op(kind, 0, "write", one) for one in (1, 2) for kind in ("invoke", "ok")]
    history += [op("invoke", 1, "read"), op("ok", 1, "read", 1)]
    report = judged(history)
    assert (report.workload, report.verdict) == ("register", Verdict.ANOMALY)
    (found,) = report.anomalies
    assert found.proof[0] == "the register could hold 2 when this was to be explained:"
    assert found.proof[1] == "read 1 of process 1 (op 4)"


@pytest.mark.parametrize("limits", [Limits(seconds=0), Limits(configurations=1_000)], ids=["time", "memory"])
def test_a_search_that_is_cut_short_is_unknown(limits: Limits) -> None:
    writes = [op(kind, one, "write", one) for kind in ("invoke", "ok") for one in range(14)]
    history = [op("invoke", 99, "read"), *writes, op("ok", 99, "read", 77)]
    report = judged(history, limits=limits)
    assert report.verdict is Verdict.UNKNOWN
    assert report.unknown


def test_many_calls_of_which_nobody_knows_whether_they_happened_are_no_burden() -> None:
    writes = [op("invoke", one, "write", one % 10) for one in range(200)]
    history = [*writes, *(op(kind, 999, "read", value) for value in (3, 7, 3) for kind in ("invoke", "ok"))]
    assert judged(history, workload="register").verdict is Verdict.OK
    history += [op("invoke", 999, "read"), op("ok", 999, "read", 77)]
    assert judged(history, workload="register").verdict is Verdict.ANOMALY


def test_a_long_sound_history_of_many_clients_is_searched_in_no_time() -> None:
    chance, value, calls = Random(7), None, []
    for number in range(4_000):
        if chance.random() < 0.5:
            calls.append(("ok", "read", None, value))
        else:
            value = number
            calls.append(("ok", "write", number, number))
    history = [
        op(kind, number, f, one)
        for number, (_, f, *both) in enumerate(calls)
        for kind, one in zip(("invoke", "ok"), both, strict=True)
    ]
    report = judged(history, limits=Limits(seconds=60))
    assert report.verdict is Verdict.OK


REGISTER_ACTS = st.lists(st.tuples(st.sampled_from("rw"), st.sampled_from("xy"), st.integers(0, 3)), min_size=1, max_size=3)


def is_serializable_register(calls: Sequence[Call]) -> bool:
    def goes_on(left: frozenset[int], values: dict[str, Any]) -> bool:
        if not left:
            return True
        for one in left:
            after = dict(values)
            for act, key, value in calls[one].value:
                if act == "w":
                    after[key] = value
                elif after.get(key) != value:
                    break
            else:
                if goes_on(left - {one}, after):
                    return True
        return False

    return goes_on(frozenset(range(len(calls))), {})


@settings(max_examples=100, deadline=None)
@given(st.lists(REGISTER_ACTS, min_size=2, max_size=4))
def test_transactions_on_registers_are_never_accused_wrongly(acts: list[list[tuple[str, str, int]]]) -> None:
    written: dict[str, int] = {}
    transactions: list[list[list[Any]]] = []
    for one in acts:
        transactions.append([])
        for act, key, number in one:
            if act == "w":
                written[key] = written.get(key, 0) + 1
                number = written[key]
            transactions[-1].append([act, key, number or None])
    history = serial(*transactions)
    report = judged(history, "serializable", workload="rw-register")
    event(report.verdict)
    if report.verdict is Verdict.ANOMALY:
        assert not is_serializable_register(transactions_of(history)), report
