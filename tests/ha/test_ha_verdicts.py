"""The verdict table against a second statement of it, written from the definitions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.ha.verdict import Action, Evidence, Judgement, Lease, ReplicaWord, Verdict, judge
from dbre.ports.topology import Contact

WORDS = st.builds(
    ReplicaWord,
    is_reachable=st.booleans(),
    is_replicating=st.booleans(),
    is_lagging=st.booleans(),
    is_on_wrong_timeline=st.booleans(),
    is_promised=st.booleans(),
)
LEASES = st.none() | st.builds(
    Lease, has_quorum=st.booleans(), is_paused=st.booleans(), holder_is_writable=st.none() | st.booleans()
)
EVIDENCE = st.builds(
    Evidence,
    observers=st.lists(st.sampled_from(Contact), max_size=5).map(lambda found: {str(n): one for n, one in enumerate(found)}),
    replicas=st.lists(WORDS, max_size=4).map(tuple),
    writable_primaries=st.integers(0, 3),
    synchronous_required=st.integers(0, 2),
    synchronous_ready=st.integers(0, 2),
    synchronous_locked_for=st.none() | st.floats(0, 60),
    lease=LEASES,
)
DEATH = ("reset", "timeout")
LIFE = ("answered", "exhausted", "starting", "refused")


def by_definition(evidence: Evidence) -> set[str]:
    """The table in words: who heard what, which replicas can be asked, and which of them still hear the primary."""
    heard = [one.value for one in evidence.observers.values()]
    dead = [one for one in heard if one in DEATH]
    life = [one for one in heard if one in LIFE]
    asked = [one for one in evidence.replicas if one.is_reachable]
    hearing = [one for one in asked if one.is_replicating]
    down = len(life) == 0 and len(dead) > len(heard) - len(dead)
    verdicts = set()
    if down and not evidence.replicas:
        verdicts.add("dead_primary_without_replicas")
    elif down and not asked:
        verdicts.add("dead_primary_and_replicas")
    elif down and not hearing:
        complete = len(asked) == len(evidence.replicas)
        verdicts.add("dead_primary" if complete else "dead_primary_and_some_replicas")
    elif down:
        late = [one for one in asked if one.is_lagging]
        verdicts.add("unreachable_primary_with_lagging_replicas" if late == asked else "unreachable_primary")
    elif not life:
        verdicts.add("too_little_evidence")
    elif asked and not hearing:
        verdicts.add("all_replicas_not_replicating")
    if life and [one for one in asked if one.is_promised and one not in hearing]:
        verdicts.add("zombie_replica")
    if [one for one in asked if one.is_on_wrong_timeline]:
        verdicts.add("replica_on_wrong_timeline")
    if "exhausted" in heard:
        verdicts.add("exhausted_primary")
    if evidence.writable_primaries >= 2:
        verdicts.add("dual_primary")
    if evidence.writable_primaries == 0 and "answered" in heard:
        verdicts.add("no_writable_primary")
    if life and evidence.synchronous_required > evidence.synchronous_ready:
        waited = evidence.synchronous_locked_for or 0.0
        sure = waited >= evidence.reasonable_lock_seconds
        verdicts.add("locked_synchronous_primary" if sure else "locked_synchronous_primary_hypothesis")
    if evidence.lease:
        verdicts |= {"dcs_quorum_lost"} if not evidence.lease.has_quorum else set()
        verdicts |= {"paused_cluster"} if evidence.lease.is_paused else set()
        verdicts |= {"leaseholder_not_writable"} if evidence.lease.holder_is_writable is False else set()
    return verdicts


@settings(max_examples=500, deadline=None)
@given(EVIDENCE)
def test_the_table_is_what_its_definitions_say(evidence: Evidence) -> None:
    judgement = judge(evidence)
    assert {one.value for one in judgement.verdicts} == by_definition(evidence)
    assert list(judgement.verdicts) == [one for one in Verdict if one in judgement.verdicts]


@settings(max_examples=500, deadline=None)
@given(EVIDENCE)
def test_nothing_is_promoted_unless_all_that_can_speak_agrees(evidence: Evidence) -> None:
    heard = [one.value for one in evidence.observers.values()]
    may = (
        len(heard) >= 2
        and not set(heard) & set(LIFE)
        and sum(one in DEATH for one in heard) * 2 > len(heard)
        and any(one.is_reachable for one in evidence.replicas)
        and not any(one.is_reachable and one.is_replicating for one in evidence.replicas)
        and evidence.writable_primaries < 2
        and (evidence.lease is None or (evidence.lease.has_quorum and not evidence.lease.is_paused))
    )
    assert (judge(evidence).action is Action.FAIL_OVER) == may


FOLLOWS = ReplicaWord(is_reachable=True, is_replicating=True)
LOST = ReplicaWord(is_reachable=True)
GONE = ReplicaWord(is_reachable=False)


def judged(*heard: Contact, replicas: tuple[ReplicaWord, ...] = (FOLLOWS, FOLLOWS)) -> Judgement:
    return judge(Evidence(observers={str(place): one for place, one in enumerate(heard)}, replicas=replicas))


def test_too_many_connections_are_a_sign_of_life() -> None:
    found = judged(Contact.EXHAUSTED, Contact.TIMEOUT, Contact.TIMEOUT, replicas=(LOST, LOST))
    assert (found.verdicts[0], found.action) == (Verdict.EXHAUSTED_PRIMARY, Action.NONE)


def test_whoever_reaches_nothing_may_be_the_isolated_one() -> None:
    found = judged(Contact.TIMEOUT, Contact.RESET, replicas=(GONE, GONE))
    assert (found.verdicts, found.action) == ((Verdict.DEAD_PRIMARY_AND_REPLICAS,), Action.NONE)
    assert "isolated" in found.reasons[0]


def test_replicas_that_still_receive_are_asked_again() -> None:
    found = judged(Contact.TIMEOUT, Contact.TIMEOUT)
    assert (found.verdicts, found.action) == ((Verdict.UNREACHABLE_PRIMARY,), Action.ASK_REPLICAS)


def test_one_observer_alone_never_decides() -> None:
    assert judged(Contact.RESET, replicas=(LOST,)).action is Action.NONE
    assert judged(Contact.RESET, Contact.TIMEOUT, replicas=(LOST,)).action is Action.FAIL_OVER


def test_a_quiet_cluster_is_healthy() -> None:
    assert judged(Contact.ANSWERED).is_healthy
    assert not judge(Evidence(observers={})).is_healthy
