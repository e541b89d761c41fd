"""Reports of several observers as one piece of evidence: what may never lead to a failover, and what must."""

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.ha.detection.doubts import Doubts
from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.detection.weighing import Heard, Rules, Weighing, weigh
from dbre.capabilities.ha.verdict import Action, Verdict
from dbre.ports.topology import Contact, LogPosition

RULES = Rules(observers=("a", "b", "c"), confirm_seconds=1.5, stale_seconds=3.0)
LOST = NodeWord(contact=Contact.ANSWERED, system_id="s", timeline=1, position=LogPosition(text="0/10", offset=16))
FOLLOWS = NodeWord(contact=Contact.ANSWERED, is_receiving=True, upstream="n1", system_id="s", timeline=1)
GONE = NodeWord(contact=Contact.TIMEOUT)

WORDS = st.builds(
    NodeWord,
    contact=st.sampled_from(Contact),
    is_writable=st.booleans(),
    is_receiving=st.booleans(),
    upstream=st.sampled_from(["n1", "n2", None]),
    system_id=st.sampled_from(["s", "t"]),
).map(lambda one: one if one.contact is Contact.ANSWERED else NodeWord(contact=one.contact))
REPORTS = st.builds(
    Report,
    cluster=st.just("shop"),
    observer=st.sampled_from(["a", "b", "c", "stranger"]),
    marker=st.just("m"),
    primary=st.sampled_from(["n1", "n1", "n1", "n2", None]),
    nodes=st.fixed_dictionaries({"n1": st.just(GONE) | WORDS, "n2": st.just(LOST) | WORDS, "n3": st.just(LOST) | WORDS}),
    unheard_seconds=st.just(2.0) | st.none() | st.floats(0, 10),
)
HEARD = st.lists(
    st.builds(Heard, report=REPORTS, age_seconds=st.just(0.1) | st.floats(0, 6)),
    max_size=5,
    unique_by=lambda one: one.report.observer,
)


def report(
    observer: str, primary: NodeWord, *replicas: NodeWord, unheard: float | None = 2.0, named: str | None = "n1"
) -> Heard:
    nodes = {"n1": primary} | {f"n{place}": one for place, one in enumerate(replicas, start=2)}
    found = Report(cluster="shop", observer=observer, marker="m", primary=named, nodes=nodes, unheard_seconds=unheard)
    return Heard(report=found, age_seconds=0.1)


def weighed(*heard: Heard) -> Weighing:
    return weigh(heard, RULES)


def speaks_for_death(one: Heard, primary: str | None) -> bool:
    told = one.report
    word = told.nodes.get(told.primary or "")
    return (
        told.observer in RULES.observers
        and one.age_seconds <= 3.0
        and told.primary == primary
        and word is not None
        and word.contact in (Contact.RESET, Contact.TIMEOUT)
        and told.unheard_seconds is not None
        and told.unheard_seconds >= 1.5
        and any(node.contact.is_alive for node in told.nodes.values())
    )


@settings(max_examples=500, deadline=None)
@given(HEARD)
def test_only_a_majority_of_all_observers_may_begin_a_failover(heard: Sequence[Heard]) -> None:
    found = weigh(heard, RULES)
    if not found.may_fail_over:
        return
    assert sum(speaks_for_death(one, found.primary) for one in heard) >= 2
    fresh = [one.report for one in heard if one.age_seconds <= 3.0 and one.report.observer in RULES.observers]
    others = [(name, word) for one in fresh for name, word in one.nodes.items() if name != found.primary]
    assert any(word.contact is Contact.ANSWERED for _, word in others)
    assert not any(word.is_receiving and word.upstream == found.primary and not word.is_writable for _, word in others)
    assert not any(one.nodes[found.primary].contact.is_alive for one in fresh if one.primary == found.primary)


@settings(max_examples=200, deadline=None)
@given(HEARD)
def test_whoever_is_not_asked_changes_nothing(heard: Sequence[Heard]) -> None:
    invited = [one for one in heard if one.report.observer in RULES.observers and one.age_seconds <= 3.0]
    assert weigh(heard, RULES).judgement == weigh(invited, RULES).judgement


@settings(max_examples=100, deadline=None)
@given(REPORTS)
def test_a_report_comes_back_from_the_store_as_it_was(one: Report) -> None:
    read = Report.from_document(one.as_document(), cluster=one.cluster, observer=one.observer, marker=one.marker)
    assert read == one


def test_two_of_three_are_enough() -> None:
    found = weighed(report("a", GONE, LOST, LOST), report("b", GONE, LOST, LOST))
    assert (found.primary, found.judgement.verdicts[0], found.may_fail_over) == ("n1", Verdict.DEAD_PRIMARY, True)
    assert found.notes == {"c": "no report"}


def test_one_of_three_is_not() -> None:
    found = weighed(report("a", GONE, LOST, LOST))
    assert (found.judgement.verdicts, found.judgement.action) == ((Verdict.TOO_LITTLE_EVIDENCE,), Action.NONE)


def test_an_isolated_observer_is_no_witness() -> None:
    isolated = report("b", GONE, GONE, GONE)
    found = weighed(report("a", GONE, LOST, LOST), isolated)
    assert not found.may_fail_over
    assert "isolated" in found.notes["b"]


def test_all_isolated_see_nothing_to_do() -> None:
    found = weighed(*(report(name, GONE, GONE, GONE) for name in "abc"))
    assert (found.judgement.verdicts, found.judgement.action) == ((Verdict.DEAD_PRIMARY_AND_REPLICAS,), Action.NONE)


def test_one_observer_that_hears_it_outweighs_all_others() -> None:
    full = NodeWord(contact=Contact.EXHAUSTED)
    found = weighed(report("a", full, LOST, unheard=0.0), report("b", GONE, LOST), report("c", GONE, LOST))
    assert (found.judgement.verdicts[0], found.judgement.action) == (Verdict.EXHAUSTED_PRIMARY, Action.NONE)


def test_a_replica_that_one_observer_sees_receive_keeps_the_primary_alive() -> None:
    found = weighed(report("a", GONE, LOST, LOST), report("b", GONE, LOST, FOLLOWS), report("c", GONE, LOST, LOST))
    assert found.judgement.action is Action.ASK_REPLICAS


def test_a_cascade_below_a_replica_says_nothing_of_the_primary() -> None:
    below = NodeWord(contact=Contact.ANSWERED, is_receiving=True, upstream="n2", system_id="s")
    assert weighed(*(report(name, GONE, LOST, below) for name in "abc")).may_fail_over


def test_silence_must_last() -> None:
    found = weighed(*(report(name, GONE, LOST, LOST, unheard=1.0) for name in "abc"))
    assert not found.may_fail_over
    assert found.notes["a"] == "the primary has been silent for 1.0 s, and 1.5 s are wanted"


def test_who_never_heard_the_primary_cannot_miss_it() -> None:
    assert not weighed(*(report(name, GONE, LOST, LOST, unheard=None) for name in "abc")).may_fail_over


def test_who_sees_the_new_primary_knows_better_than_who_remembers_the_old_one() -> None:
    new = NodeWord(contact=Contact.ANSWERED, is_writable=True, system_id="s", timeline=2)
    found = weighed(report("a", GONE, new, LOST, unheard=0.0, named="n2"), report("b", GONE, LOST), report("c", GONE, LOST))
    assert (found.primary, found.may_fail_over) == ("n2", False)


def test_observers_that_remember_different_primaries_do_nothing() -> None:
    found = weighed(report("a", GONE, GONE, LOST, named="n2"), report("b", GONE, GONE, LOST), report("c", GONE, GONE, LOST))
    assert not found.may_fail_over
    assert "do not agree" in found.judgement.reasons[0]


def test_the_patience_of_replicas_is_known_and_not_that_of_the_primary() -> None:
    follows = replace(FOLLOWS, gives_up_seconds=60.0)
    for_ever = replace(LOST, gives_up_seconds=0.0)
    found = weighed(report("a", replace(FOLLOWS, gives_up_seconds=1.0), follows, for_ever, GONE))
    assert found.patience == {"n2": 60.0, "n3": math.inf}


def test_who_lately_took_the_living_for_dead_must_wait_longer() -> None:
    silent = [report(name, GONE, LOST, LOST, unheard=5.0) for name in "abc"]
    assert weighed(*silent).may_fail_over
    doubting = [replace(one, report=replace(one.report, wanted_seconds=6.0)) for one in silent]
    found = weighed(*doubting)
    assert not found.may_fail_over
    assert found.judgement.verdicts[0] is Verdict.TOO_LITTLE_EVIDENCE
    assert "and 6 s are wanted: servers that it had not heard for half of that were alive" in found.notes["a"]
    longer = [replace(one, report=replace(one.report, unheard_seconds=6.0)) for one in doubting]
    assert weighed(*longer).may_fail_over
    deaf = [replace(one, report=replace(one.report, nodes=one.report.nodes | {"n3": GONE})) for one in longer]
    assert "it lately took living servers for dead, and does not hear n3 either" in weighed(*deaf).notes["a"]
    assert not weighed(*deaf).may_fail_over
    trusting = [replace(one, report=replace(one.report, wanted_seconds=0.0)) for one in deaf]
    assert weighed(*trusting).judgement.verdicts[0] is Verdict.DEAD_PRIMARY_AND_SOME_REPLICAS
    assert weighed(*trusting).may_fail_over


def test_only_the_silence_of_a_process_that_lives_on_is_doubted() -> None:
    doubts = Doubts()
    doubts.answered("n1", "first", 0.0)
    doubts.answered("n1", "first", 8.0)  # nobody asked in between
    assert doubts.wanted_seconds(8.0) == 0.0
    doubts.was_silent("n1")
    doubts.answered("n1", "second", 20.0)  # it did die
    assert doubts.wanted_seconds(20.0) == 0.0
    doubts.was_silent("n1")
    doubts.lived("n1")
    doubts.answered("n1", "second", 30.0)
    assert doubts.wanted_seconds(30.0) == 0.0
    doubts.was_silent("n1")
    doubts.answered("n1", "second", 34.0)
    assert doubts.wanted_seconds(34.0) == 8.0
    doubts.was_silent("n1")
    doubts.answered("n1", "second", 100.0)
    assert doubts.wanted_seconds(100.0) == 30.0
    assert doubts.wanted_seconds(221.0) == 0.0
