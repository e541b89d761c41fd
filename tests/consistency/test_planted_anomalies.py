"""One history for each class of anomaly: it is found under its name, with the calls that prove it, and at the right level."""

import pytest
from consistency_kit import judged, names, one_by_one, op, serial

from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.isolation import IsolationModel
from dbre.capabilities.consistency.report import Limits, Verdict


def failed(*, element: int = 1, act: str = "append") -> list[Op]:
    return [op("invoke", 90, "txn", [[act, "x", element]]), op("fail", 90, "txn", [[act, "x", element]])]


def a(key: str, element: int) -> list[object]:
    return ["append", key, element]


def w(key: str, value: int) -> list[object]:
    return ["w", key, value]


def r(key: str, seen: object = None) -> list[object]:
    return ["r", key, seen]


U, C, V, P, S, RR, SER = list(IsolationModel)[:7]  # from read uncommitted to serializable
LATE = [r("x", [1]), r("y", [1])]
PLANTED = {
    "garbage-read": (serial([a("x", 1)], [r("x", [1, 9])]), U),
    "duplicate-elements": (serial([a("x", 1)], [r("x", [1, 1])]), U),
    "future-read": (serial([r("x", [1]), a("x", 1)]), U),
    "internal": (serial([a("x", 1), r("x", [])]), U),
    "G0": (serial([a("x", 1), a("y", 1)], [a("x", 2), a("y", 2)], [r("x", [1, 2]), r("y", [2, 1])]), U),
    "G1a": ([*failed(), *serial([r("x", [1])])], C),
    "dirty-update": ([*failed(), *serial([a("x", 2)], [r("x", [1, 2])])], C),
    "G1b": (serial([a("x", 1), a("x", 2)], [r("x", [1])], [r("x", [1, 2])]), C),
    "G1c": (serial([a("x", 1), r("y", [1])], [a("y", 1), r("x", [1])]), C),
    "incompatible-order": (serial([a("x", 1)], [a("x", 2)], [r("x", [1, 2])], [r("x", [2, 1])]), C),
    "unrepeatable-read": (serial([r("x", []), r("x", [1])], [a("x", 1)]), V),
    "lost-update": (serial([r("x", []), a("x", 1)], [r("x", []), a("x", 2)], [r("x", [1, 2])]), V),
    "G-single": (serial([r("x", []), r("y", [1])], [a("x", 1), a("y", 1)]), P),
    "G-nonadjacent": (serial([a("x", 1)], [a("y", 1)], [r("x", [1]), r("y", [])], [r("x", []), r("y", [1])]), S),
    "G2-item": (serial([r("x", []), a("y", 1)], [r("y", []), a("x", 1)], LATE), RR),
    "G0-process": (one_by_one([a("x", 2)], [a("x", 1)], [r("x", [1, 2])], process=1), "strong-session-read-committed"),
    "G0-realtime": (one_by_one([a("x", 2)], [a("x", 1)], [r("x", [1, 2])]), "strong-read-committed"),
    "G-single-process": (one_by_one([a("x", 1)], [r("x", [])], [r("x", [1])], process=1), "strong-session-snapshot-isolation"),
    "G-single-realtime": (one_by_one([a("x", 1)], [r("x", [])], [r("x", [1])]), "strong-snapshot-isolation"),
}
REGISTERS = {
    "garbage-read": (serial([r("x", 7)]), U),
    "internal": (serial([w("x", 1), r("x", 2)], [w("x", 2)]), U),
    "future-read": (serial([r("x", 1), w("x", 1)]), U),
    "G1a": ([*failed(act="w"), *serial([r("x", 1)])], C),
    "G1b": (serial([w("x", 1), w("x", 2)], [r("x", 1)]), C),
    "G1c": (serial([w("x", 1), r("y", 1)], [w("y", 1), r("x", 1)]), C),
    "cyclic-versions": (serial([r("x", 2), w("x", 1)], [r("x", 1), w("x", 2)]), C),
    "unrepeatable-read": (serial([r("x"), r("x", 1)], [w("x", 1)]), V),
    "lost-update": (serial([r("x"), w("x", 1)], [r("x"), w("x", 2)]), V),
    "G-single": (serial([r("x"), r("y", 1)], [w("x", 1), w("y", 1)]), P),
    "G-nonadjacent": (serial([w("x", 1)], [w("y", 1)], [r("x", 1), r("y")], [r("x"), r("y", 1)]), S),
    "G2-item": (serial([r("x"), w("y", 1)], [r("y"), w("x", 1)]), RR),
    "G-single-realtime": (one_by_one([w("x", 1)], [r("x")]), "strong-snapshot-isolation"),
}
CASES = [("list-append", *one) for one in PLANTED.items()] + [("rw-register", *one) for one in REGISTERS.items()]


@pytest.mark.parametrize(("workload", "name", "case"), CASES, ids=[f"{one[0]}-{one[1]}" for one in CASES])
def test_it_is_found_and_forbidden_from_its_level_on(workload: str, name: str, case: tuple[list[Op], str]) -> None:
    history, level = case
    report = judged(history, level, workload=workload)
    assert report.verdict is Verdict.ANOMALY
    assert name in names(report)
    (found,) = [one for one in report.anomalies if one.name == name]
    assert found.is_violation
    assert found.count >= 1
    assert found.proof
    assert all(0 <= place < len(history) and history[place].type == "invoke" for place in found.ops)
    strongest = judged(history, "strict-serializable", workload=workload)
    assert strongest.verdict is Verdict.ANOMALY
    assert strongest.excluded


@pytest.mark.parametrize(
    ("name", "weaker"),
    [
        ("unrepeatable-read", C),
        ("lost-update", C),
        ("G-single", C),
        ("G-nonadjacent", P),
        ("G2-item", S),
        ("G0-process", SER),
        ("G0-realtime", "strong-session-serializable"),
        ("G-single-process", "strong-session-read-committed"),
        ("G-single-realtime", "strong-session-serializable"),
    ],
)
def test_what_a_weaker_level_allows_is_told_and_no_violation(name: str, weaker: str) -> None:
    report = judged(PLANTED[name][0], weaker, workload="list-append")
    assert report.verdict is Verdict.OK, report
    assert name in names(report)
    assert not any(one.is_violation for one in report.anomalies)


def test_every_level_forbids_what_weaker_ones_forbid() -> None:
    for history, _ in PLANTED.values():
        verdicts = {one: judged(history, one, workload="list-append").verdict for one in IsolationModel}
        if verdicts[IsolationModel.SNAPSHOT_ISOLATION] is Verdict.ANOMALY:
            assert verdicts[IsolationModel.SERIALIZABLE] is Verdict.ANOMALY
        if verdicts[IsolationModel.SERIALIZABLE] is Verdict.ANOMALY:
            assert verdicts[IsolationModel.STRICT_SERIALIZABLE] is Verdict.ANOMALY


def test_a_proof_names_keys_elements_and_why() -> None:
    (found,) = judged(PLANTED["G-single"][0], workload="list-append").anomalies
    assert found.proof == (
        "T1 comes before T0: it appended 1 to 'y', which the other read as the last element",
        "T0 comes before T1: it read 'x' without 1, which the other appended",
        "so T1 would have to come before itself: there is no such order",
    )


def test_a_write_whose_outcome_is_unknown_may_appear_and_may_not() -> None:
    unknown = [op("invoke", 9, "txn", [a("x", 1), r("y")]), op("info", 9, "txn", [a("x", 1), r("y")])]
    for seen in ([], [1]):
        report = judged([*unknown, *serial([r("x", seen)])], "strict-serializable")
        assert report.verdict is Verdict.OK, report


def test_a_graph_that_is_too_large_is_unknown_and_never_ok() -> None:
    history = serial(*([a("x", one)] for one in range(20)), [r("x", list(range(20)))])
    assert judged(history, limits=Limits(edges=200)).verdict is Verdict.OK
    report = judged(history, limits=Limits(edges=5))
    assert report.verdict is Verdict.UNKNOWN
    assert "5 edges" in report.unknown[0]
