"""Findings about topologies that were made by hand; each with its opposite, which must stay quiet."""

from dataclasses import replace

from ha_kit import at, fed, follows, instance, primary, replica, silent, topology

from dbre.capabilities.ha.findings import findings_of
from dbre.capabilities.ha.model import Topology
from dbre.core.checks import Severity
from dbre.ports.topology import Contact, Slot


def rules(found: Topology, **given: int) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in findings_of(found, **given)]


HEALTHY = topology(primary(1, feeds=(2,)), replica(2, follows(1), feeds=(3,)), replica(3, follows(2)))


def test_a_cascade_in_order_has_no_findings() -> None:
    assert rules(HEALTHY) == []
    assert [(one.upstream, one.downstream, one.is_confirmed) for one in HEALTHY.edges] == [
        ("n1", "n2", True),
        ("n2", "n3", True),
    ]
    assert HEALTHY.root_of("n3") == "n1"


def test_two_that_take_writes_of_one_system_are_critical() -> None:
    found = findings_of(topology(primary(1), primary(2, timeline=2)))
    assert [(one.rule, one.severity) for one in found] == [("ha.dual_primary", Severity.CRITICAL)]
    assert rules(topology(primary(1, may_have_peers=True), primary(2, may_have_peers=True))) == []


def test_two_addresses_of_one_process_are_no_two_primaries() -> None:
    assert rules(topology(primary(1), primary(2, process_id="process 1"))) == [("ha.same_server_twice", "n1")]


def test_a_second_system_in_a_cluster_is_no_second_primary() -> None:
    assert rules(topology(primary(1), primary(2, system_id="s2"))) == [("ha.foreign_system", "shop")]


def test_one_identity_on_two_servers() -> None:
    found = topology(primary(1, node_id="7", feeds=(2,)), replica(2, follows(1), node_id="7"))
    assert rules(found) == [("ha.cloned_identity", "shop")]


def test_without_a_primary() -> None:
    assert ("ha.no_primary", "shop") in rules(topology(replica(1, follows(2)), silent(2)))
    assert ("ha.no_primary", "shop") in rules(topology(primary(1, is_writable=False)))
    lonely = topology(replica(1, follows(None, is_receiving=False)))
    assert rules(lonely) == [("ha.no_primary", "shop")]


def test_a_replica_that_answers_and_receives_nothing() -> None:
    found = topology(primary(1), replica(2, follows(None, is_receiving=False)))
    assert rules(found) == [("ha.zombie_replica", "n2")]
    never = follows(None, is_receiving=False)
    assert rules(topology(primary(1), replica(2, replace(never, received=None)))) == [("ha.never_connected", "n2")]
    archive = replica(2, replace(never, received=None), has_upstream_configured=False)
    assert rules(topology(primary(1), archive)) == [("ha.archive_only", "n2")]


def test_a_timeline_that_parted() -> None:
    old = replica(2, follows(None, is_receiving=False), timeline=1)
    assert rules(topology(primary(1, timeline=2), old)) == [("ha.wrong_timeline", "n2"), ("ha.zombie_replica", "n2")]
    switching = replica(2, follows(1), timeline=1)
    assert rules(topology(primary(1, timeline=2, feeds=(2,)), switching)) == []


def test_a_follower_of_the_old_primary_is_on_the_wrong_timeline() -> None:
    found = topology(primary(1, timeline=2), primary(2, timeline=1, feeds=(3,)), replica(3, follows(2)))
    assert rules(found) == [("ha.dual_primary", "shop"), ("ha.wrong_timeline", "n3")]


def test_a_follower_that_its_upstream_does_not_know() -> None:
    assert rules(topology(primary(1), replica(2, follows(1)))) == [("ha.ghost_edge", "n2")]
    translated = primary(1, downstreams=(fed(2, name="walreceiver", host="192.0.2.7"),))
    found = topology(translated, replica(2, follows(1)))
    assert rules(found) == []  # behind an address that was translated it cannot be told apart from a stranger
    assert [one.name for one in found.outsiders] == ["walreceiver"]


def test_a_follower_that_only_its_upstream_knows() -> None:
    found = topology(primary(1, feeds=(2,)), replica(2, follows(None, is_receiving=False)))
    assert set(rules(found)) == {("ha.zombie_replica", "n2"), ("ha.ghost_edge", "n2")}


def test_slots_that_nobody_uses() -> None:
    def kept(**given: object) -> list[tuple[str, str]]:
        known = {"name": "s", "is_physical": True, "is_active": False, "retained_bytes": 10, "wal_status": "reserved"}
        return rules(topology(primary(1, slots=(Slot(**(known | {"inactive_since": None} | given)),))), slot_limit_bytes=1000)

    assert kept() == []
    stuck = [("ha.stuck_slot", "n1")]
    assert kept(retained_bytes=1000) == stuck
    assert kept(wal_status="extended") == stuck
    assert kept(wal_status="lost", is_active=True) == stuck
    assert kept(retained_bytes=1000, is_active=True) == []
    assert kept(retained_bytes=1000, is_synced=True) == []


def test_replay_that_waits() -> None:
    assert rules(topology(primary(1, feeds=(2,)), replica(2, follows(1), is_replay_paused=True))) == [
        ("ha.paused_replay", "n2")
    ]
    delayed = topology(primary(1, feeds=(2,)), replica(2, follows(1), min_apply_delay_seconds=3600.0))
    assert rules(delayed) == [("ha.delayed_replica", "n2")]


def test_commits_that_wait_for_a_synchronous_replica() -> None:
    assert rules(topology(primary(1, synchronous_replicas=1))) == [("ha.commits_wait", "n1")]
    one = topology(primary(1, synchronous_replicas=1, downstreams=(fed(2, sync_state="quorum"),)), replica(2, follows(1)))
    assert rules(one) == []


def test_a_server_that_speaks_is_not_dead() -> None:
    for contact, rule in (
        (Contact.TIMEOUT, "ha.unreachable"),
        (Contact.RESET, "ha.unreachable"),
        (Contact.EXHAUSTED, "ha.not_asked"),
        (Contact.REFUSED, "ha.not_asked"),
    ):
        assert rules(topology(primary(1), silent(2, contact))) == [(rule, "n2")]


def test_servers_outside_of_the_inventory_are_told() -> None:
    stranger = follows(1)
    found = topology(replica(2, replace(stranger, address=replace(instance(1).address, host="192.0.2.1"), received=at(5))))
    assert [(one.node, one.is_upstream, one.address) for one in found.outsiders] == [("n2", True, "192.0.2.1:5432")]


def test_the_primary_of_a_cluster_is_its_own_before_that_of_a_source() -> None:
    source = primary(1, timeline=9, system_id="s9")
    source = replace(source, instance=replace(source.instance, cluster="elsewhere"))
    own = primary(2)
    found = topology(source, own)
    assert found.primary == own
    assert rules(found) == []
