"""Who takes over and what that loses: rules that hold for every set of replicas."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.detection.weighing import Heard
from dbre.capabilities.ha.failover.candidates import Candidate, LastWord, loss_of, rank
from dbre.capabilities.ha.failover.config_document import FailoverDocument
from dbre.capabilities.ha.failover.fences import unheard_by_majority
from dbre.core.errors import UsageError
from dbre.ports.topology import Contact, LogPosition

NAMES = ("n1", "n2", "n3", "n4")


def at(offset: int) -> LogPosition:
    return LogPosition(text=f"0/{offset:X}", offset=offset)


def replica(name: str, offset: int, **given_: object) -> Candidate:
    known: dict[str, object] = {"name": name, "is_reachable": True, "is_replica": True, "received": at(offset), "timeline": 1}
    return Candidate(**(known | given_))  # type: ignore[arg-type]


ONES = st.builds(
    Candidate,
    name=st.just(""),
    is_reachable=st.booleans() | st.just(True),
    is_replica=st.booleans() | st.just(True),
    system_id=st.sampled_from(["s", "s", "t", None]),
    timeline=st.sampled_from([1, 2, 2, None]),
    received=st.none() | st.integers(0, 5).map(at),
    apply_delay_seconds=st.sampled_from([0.0, 0.0, 60.0]),
)
SETS = st.lists(ONES, max_size=4).map(
    lambda found: tuple(
        Candidate(**{field: getattr(one, field) for field in Candidate.__slots__} | {"name": name})  # type: ignore[arg-type]
        for name, one in zip(NAMES, found, strict=False)
    )
)
LAST = st.builds(
    LastWord,
    position=st.none() | st.integers(0, 6).map(at),
    system_id=st.sampled_from(["s", None]),
    timeline=st.sampled_from([1, 2, None]),
    synchronous=st.sets(st.sampled_from(NAMES)).map(lambda found: tuple(sorted(found))),
    synchronous_needed=st.integers(0, 3),
)


@settings(max_examples=500, deadline=None)
@given(SETS, LAST)
def test_whoever_is_chosen_loses_least_of_all_that_may_be(found: tuple[Candidate, ...], last: LastWord) -> None:
    ranked = rank(found, last)
    assert {one.name for one in ranked.order} | set(ranked.excluded) == {one.name for one in found}
    best = ranked.best
    if best is None:
        return
    assert best.is_reachable
    assert best.is_replica
    assert best.received is not None
    for other in ranked.order:
        assert other.received is not None
        assert best.received.offset >= other.received.offset  # type: ignore[operator]
    lines = [one.timeline for one in found if one.is_replica and one.timeline is not None]
    assert best.timeline is None or best.timeline >= max([*lines, last.timeline or 0])
    if last.synchronous_needed:
        assert best.name in last.synchronous


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 4), st.data())
def test_nothing_is_promised_that_a_quorum_does_not_hold(size: int, data: st.DataObject) -> None:
    """Every way in which ``needed`` of the names confirmed a commit: where zero is promised, the chosen one has it."""
    names = NAMES[:size]
    needed = data.draw(st.integers(1, size))
    confirmed = data.draw(st.sets(st.sampled_from(names), min_size=needed))
    here = data.draw(st.sets(st.sampled_from(names), min_size=1))
    last = LastWord(position=at(10), synchronous=names, synchronous_needed=needed)
    reachable = [replica(name, 10 if name in confirmed else data.draw(st.integers(0, 10))) for name in sorted(here)]
    best = rank(reachable, last).best
    assert best is not None
    if loss_of(best, last, reachable).is_zero_promised:
        assert best.received == at(10)


def test_the_preferred_one_wins_only_among_equals() -> None:
    last = LastWord(position=at(100))
    assert rank([replica("n1", 100), replica("n2", 90)], last, prefer=["n2"]).best == replica("n1", 100)
    assert rank([replica("n1", 100), replica("n2", 100)], last, prefer=["n2"]).best == replica("n2", 100)
    ranked = rank([replica("n1", 100), replica("n2", 100)], last, never=["n1"])
    assert ranked.excluded == {"n1": "the configuration says never"}


def test_unknown_is_never_zero() -> None:
    loss = loss_of(replica("n1", 5), LastWord(), [])
    assert loss.is_within(max_bytes=10**12, max_transactions=10**6) is None
    assert "unknown" in loss.text


def test_a_majority_of_all_observers_is_needed_for_a_lease() -> None:
    def heard(name: str, unheard: float, contact: Contact = Contact.TIMEOUT, age: float = 0.1) -> Heard:
        nodes = {"n1": NodeWord(contact=contact)}
        one = Report(cluster="shop", observer=name, marker="m", primary="n1", nodes=nodes, unheard_seconds=unheard)
        return Heard(report=one, age_seconds=age)

    everyone = ("a", "b", "c")
    both = [heard("a", 9.0), heard("b", 7.0)]
    assert unheard_by_majority(both, everyone, "n1", stale_seconds=3.0) == 7.0
    assert unheard_by_majority(both[:1], everyone, "n1", stale_seconds=3.0) is None
    assert unheard_by_majority([both[0], heard("b", 7.0, age=5.0)], everyone, "n1", stale_seconds=3.0) is None
    assert unheard_by_majority([both[0], heard("b", 7.0, Contact.ANSWERED)], everyone, "n1", stale_seconds=3.0) is None
    assert unheard_by_majority(both, everyone, "n2", stale_seconds=3.0) is None


def test_a_configuration_that_cannot_decide_is_refused() -> None:
    assert FailoverDocument.model_validate({}).max_loss == 0
    for given_ in (
        {"auto": True, "observers": ["a"]},
        {"observers": ["a", "a"]},
        {"prefer": ["n1"], "never": ["n1"]},
        {"confirm": "1ms"},
        {"fence": []},
    ):
        try:
            FailoverDocument.model_validate(given_)
        except (UsageError, ValueError):
            continue
        raise AssertionError(given_)


def test_what_decides_among_equals_is_told() -> None:
    last = LastWord(position=at(100))
    three = [replica("n1", 100), replica("n2", 100), replica("n3", 90)]
    assert rank(three, last).reasons == {
        "n1": "furthest: 0/64, as n2, and before it by name",
        "n2": "as far as n1, and after it by name",
        "n3": "10 B behind n1",
    }
    chosen = rank(three, last, prefer=["n2"])
    assert [one.name for one in chosen.order] == ["n2", "n1", "n3"]
    assert chosen.reasons["n2"] == "furthest: 0/64, as n1, and before it by preference"
    assert chosen.reasons["n1"] == "as far as n2, and after it by preference"
    assert rank(three[1:], last).reasons["n2"] == "furthest: 0/64"
