"""Acknowledged writes against what is there: what was lost, doubled, made up, and who acknowledged at the same time."""

from collections import Counter
from typing import Any

from consistency_kit import judged, names, op
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.ledger import LedgerRead, LedgerWrite, WriteOutcome, balance
from dbre.capabilities.consistency.report import Verdict


def write(id_: int, at: int, outcome: str = "ok", node: str | None = None) -> LedgerWrite:
    return LedgerWrite(
        id=id_, sent_at=at, acked_at=at + 1 if outcome == "ok" else None, outcome=WriteOutcome(outcome), node=node
    )


def history(*writes: tuple[int, str, str], final: list[int]) -> list[Op]:
    ops = [op(kind, id_, "write", id_, node) for id_, answer, node in writes for kind in ("invoke", answer)]
    return [*ops, op("invoke", 99, "read"), op("ok", 99, "read", final)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(list(WriteOutcome)), max_size=8), st.lists(st.integers(0, 9), max_size=12))
def test_the_balance_is_what_sets_say(outcomes: list[WriteOutcome], final: list[int]) -> None:
    account = balance([write(number, 2 * number, one.value) for number, one in enumerate(outcomes)], final)
    of = {kind: {number for number, one in enumerate(outcomes) if one is kind} for kind in WriteOutcome}
    there = set(final)
    assert set(account.lost) == of[WriteOutcome.OK] - there
    assert set(account.phantom) == of[WriteOutcome.UNKNOWN] & there
    assert set(account.resurrected) == of[WriteOutcome.FAILED] & there
    assert set(account.unexpected) == there - set(range(len(outcomes)))
    assert set(account.duplicate) == {one for one, count in Counter(final).items() if count > 1}


def test_an_old_primary_that_goes_on_acknowledging_is_told_with_what_it_took() -> None:
    writes = [
        write(1, 0, node="a"),
        write(2, 10, node="b"),
        write(3, 20, node="a"),
        write(4, 21, node="b"),
        write(5, 30, node="a"),
    ]
    (overlap,) = balance(writes, [1, 2, 3, 4, 5]).overlaps
    assert (overlap.old, overlap.new, overlap.new_first_at, list(overlap.after)) == ("a", "b", 11, [3, 5])
    clean = [write(1, 0, node="a"), write(2, 10, node="a"), write(3, 20, node="b")]
    assert not balance(clean, [1, 2, 3]).overlaps


def test_a_stale_read_lacks_what_was_acknowledged_before_it_and_is_there_in_the_end() -> None:
    writes = [write(1, 0), write(2, 10)]
    early, late = (LedgerRead(began_at=at, ended_at=at + 1, seen=[2]) for at in (0, 5))
    assert [(one.id, one.read) for one in balance(writes, [1, 2], reads=[early, late]).stale] == [(1, late)]
    assert not balance(writes, [2], reads=[late]).stale, "that one is lost"
    again = [LedgerRead(began_at=at, ended_at=at + 1, seen=[]) for at in range(20, 40, 5)]
    assert [(one.id, one.read.began_at) for one in balance(writes, [1, 2], reads=again).stale] == [(1, 20), (2, 20)]


def test_as_a_workload_it_names_the_calls_and_the_node() -> None:
    report = judged(history((1, "ok", "pg1"), (2, "ok", "pg2"), (3, "fail", "pg1"), (4, "info", "pg1"), final=[2, 3, 4, 4, 8]))
    assert report.workload == "ledger"
    assert names(report) == {"lost", "unexpected", "resurrected", "duplicate"}
    (lost,) = [one for one in report.anomalies if one.name == "lost"]
    assert lost.proof == ("op 0 wrote 1, acknowledged by 'pg1'", "op 8 does not have it")
    assert report.facts["phantom"] == 1


def test_two_primaries_are_a_violation_only_of_a_model_that_promises_one() -> None:
    ops = history((1, "ok", "a"), (2, "ok", "b"), (3, "ok", "a"), final=[1, 2, 3])
    assert judged(ops, "durable", workload="ledger").verdict is Verdict.OK
    report = judged(ops, "single-primary", workload="ledger")
    assert (report.verdict, names(report)) == (Verdict.ANOMALY, {"overlap"})


def test_a_last_read_that_came_too_early_decides_nothing() -> None:
    late: list[Any] = [op("invoke", 5, "write", 5), *history((1, "ok", "a"), final=[1, 2, 3]), op("ok", 5, "write", 5)]
    late.insert(0, op("invoke", 6, "write", 2))
    late.insert(1, op("info", 6, "write", 2))
    late.insert(2, op("invoke", 7, "write", 3))
    late.insert(3, op("info", 7, "write", 3))
    report = judged(late, workload="ledger")
    assert report.verdict is Verdict.UNKNOWN
    assert "1 writes are not accounted for" in report.unknown[0]
