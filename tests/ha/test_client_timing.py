"""How long clients suffered, and who is an old primary: by the arithmetic alone."""

from typing import Any

import pytest

from dbre.assembly_clients import client_ground
from dbre.capabilities.ha.clients.acts import Acts
from dbre.capabilities.ha.clients.ground import HistoryVerdict
from dbre.capabilities.ha.clients.records import ClientAct, newest_nodes
from dbre.capabilities.ha.clients.timing import budget_share, measure
from dbre.capabilities.ha.clients.truth import FINAL, tell_truth
from dbre.core.fleet import Fleet
from dbre.ports.client_work import ClientWorkload


def act(sequence: int, due: float, *, took: float = 0.01, kind: str = "ok", f: str = "write", **more: Any) -> ClientAct:
    given: dict[str, Any] = {"client": "here-0", "node": "a:1", "asked": sequence, "value": sequence, **more}
    return ClientAct(sequence=sequence, f=f, due_at=due, sent_at=due, ended_at=due + took, kind=kind, **given)


def outage(first: float, last: float, *, until: float, client: str = "here-0") -> list[ClientAct]:
    """Ten acts a second, of which those between ``first`` and ``last`` fail."""
    times = [number / 10 for number in range(round(until * 10))]
    return [
        act(number, due, kind="fail" if first <= due < last else "ok", client=client, error="refused")
        for number, due in enumerate(times)
    ]


def test_an_outage_lasts_from_the_last_acknowledgement_before_it_to_the_first_one_after_it() -> None:
    found = measure(outage(5, 8, until=20), until=20, since=5.05)
    assert found.outage is not None
    assert (round(found.outage.began_at, 2), round(found.outage.ended_at, 2), found.outage.is_open) == (4.91, 8.01, False)
    assert found.first_ack_seconds == pytest.approx(8.01 - 5.05)
    assert found.baseline_per_second == pytest.approx(10, rel=0.05)
    assert found.ninety_percent_seconds == pytest.approx(3.1, abs=0.3)
    assert found.bad_minutes == pytest.approx(3 / 60)
    assert budget_share(found.bad_minutes, 0.999) == pytest.approx(0.05 / 43.2)


def test_what_cannot_be_told_is_none() -> None:
    never = measure(outage(0, 20, until=20), until=20, since=1)
    assert never.outage is not None
    assert (never.outage.seconds, never.outage.is_open) == (20, True)
    assert (never.first_ack_seconds, never.ninety_percent_seconds, never.baseline_per_second, never.p50_seconds) == (None,) * 4
    assert measure([], until=0).outage is None
    # A cluster that never comes back to what it did before has not recovered.
    slow = [*outage(5, 8, until=8), *(act(100 + number, 8 + number) for number in range(12))]
    assert measure(slow, until=20).ninety_percent_seconds is None


def test_each_client_has_its_own_outage_and_latency_counts_from_the_due_moment() -> None:
    acts = [*outage(5, 6, until=10), *outage(4, 9, until=10, client="far-0"), act(900, 9, took=0.9)]
    found = measure(acts, until=10)
    assert {name: round(gap.seconds, 1) for name, gap in found.outage_by_client.items()} == {"here-0": 1.1, "far-0": 5.1}
    assert found.outage is not None
    assert found.outage.seconds == pytest.approx(1.1)  # somebody was served
    assert found.max_seconds == pytest.approx(0.9)


def test_conflicts_and_late_clients_are_nobody_s_outage() -> None:
    acts = [act(1, 0.1, kind="fail", is_answer=True), act(2, 0.2, kind="fail", is_missed=True), act(3, 0.3)]
    assert measure(acts, until=1).bad_minutes == 0


def test_an_old_primary_that_goes_on_is_an_overlap() -> None:
    ground = client_ground(Fleet(), object())  # type: ignore[arg-type]
    acts = [act(1, 1), act(2, 2, node="b:1"), act(3, 3, client="far-0"), act(4, 4, node="b:1")]
    final = act(0, 9, f="read", client=FINAL, asked=None, value=[1, 2, 4])
    asked: dict[str, Any] = {"ground": ground, "workload": ClientWorkload.LEDGER, "until": 5.0}
    verdict = HistoryVerdict(verdict="anomaly", model="single-primary")
    truth = tell_truth([*acts, final], verdict=verdict, names={"a:1": "pg1", "b:1": "pg2"}, **asked)
    assert truth.overlap == 1
    assert truth.lost == [3]
    assert [(one.node, one.count) for one in truth.nodes] == [("pg1", 2), ("pg2", 2)]
    assert newest_nodes(acts) == ["b:1", "a:1"]
    unread = tell_truth(acts, verdict=verdict, names={}, **asked)
    assert (unread.balance, unread.overlap) == (None, 1)


@pytest.mark.parametrize("workload", list(ClientWorkload), ids=str)
def test_a_client_repeats_its_acts_and_shares_no_id_with_another(workload: ClientWorkload) -> None:
    def ids(client: int) -> list[Any]:
        acts = Acts(workload, run="r", client=client, rate=10)
        return [acts.next() for _ in range(500)]

    assert ids(0) == ids(0)
    if workload in (ClientWorkload.LEDGER, ClientWorkload.SET):
        one, other = ({value for f, value in ids(client) if f != "read"} for client in (0, 1))
        assert len(one) == 450
        assert not one & other
