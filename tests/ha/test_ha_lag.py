"""Lag from views that were made by hand: unknown is not 0, idle is not lag, and nobody is ahead."""

from dataclasses import replace
from datetime import timedelta

from ha_kit import NOW, at, fed, follows, primary, replica, topology

from dbre.capabilities.ha.lag import ReplicaLag, lags_of
from dbre.capabilities.ha.lag_view import is_beyond
from dbre.capabilities.ha.model import Node
from dbre.capabilities.ha.nodes import views_of
from dbre.ports.topology import HeartbeatStamp, LogPosition


def beat(seconds_ago: float) -> HeartbeatStamp:
    return HeartbeatStamp(sequence=int(1e6 - seconds_ago), written_at=NOW - timedelta(seconds=seconds_ago))


def lag(top: Node, follower: Node) -> ReplicaLag:
    (found,) = lags_of(topology(top, follower), views_of([follower]))
    return found


def test_each_stage_in_bytes() -> None:
    top = primary(1, position=at(1000), downstreams=(fed(2, sent=at(900)),), heartbeat=beat(1))
    found = lag(top, replica(2, follows(1, received=at(700)), position=at(400), heartbeat=beat(11)))
    assert (found.send_bytes, found.receive_bytes, found.replay_bytes, found.total_bytes) == (100, 200, 300, 600)
    assert (found.seconds, found.seconds_at_most) == (10.0, 11.0)
    assert found.is_caught_up is False


def test_an_idle_cluster_is_not_behind_however_old_its_heartbeat_is() -> None:
    found = lag(primary(1, feeds=(2,), heartbeat=beat(9999)), replica(2, follows(1), heartbeat=beat(9999)))
    assert (found.total_bytes, found.seconds, found.seconds_at_most, found.is_caught_up) == (0, 0.0, 0.0, True)


def test_without_a_heartbeat_seconds_are_unknown() -> None:
    found = lag(primary(1, feeds=(2,)), replica(2, follows(1), position=at(10)))
    assert (found.total_bytes, found.seconds, found.seconds_at_most) == (990, None, None)


def test_a_replica_read_later_may_be_further_and_is_not_ahead() -> None:
    found = lag(primary(1, feeds=(2,)), replica(2, follows(1, received=at(5000)), position=at(5000)))
    assert (found.receive_bytes, found.total_bytes, found.is_caught_up) == (0, 0, True)


def test_what_is_not_known_stays_unknown() -> None:
    blind = follows(1)
    found = lag(primary(1, feeds=(2,), position=None), replica(2, replace(blind, received=None), position=None))
    assert (found.receive_bytes, found.replay_bytes, found.total_bytes, found.is_caught_up) == (None, None, None, None)
    assert is_beyond(found, 10**9, None)  # it may be anything


def test_a_cascade_is_measured_at_its_upstream_and_at_the_primary() -> None:
    top = primary(1, position=at(1000), feeds=(2,))
    middle = replica(2, follows(1, received=at(800)), position=at(800), feeds=(3,))
    last = replica(3, follows(2, received=at(700)), position=at(600))
    found = {one.replica: one for one in lags_of(topology(top, middle, last), views_of([middle, last]))}
    assert (found["n3"].upstream, found["n3"].replay_bytes, found["n3"].total_bytes) == ("n2", 100, 400)


def test_transactions_are_counted_by_domain() -> None:
    ahead = LogPosition(text="0-1-10,1-1-5", sequences={"0": 10, "1": 5})
    behind = LogPosition(text="0-1-7", sequences={"0": 7})
    assert behind.transactions_behind(ahead) == 8
    assert ahead.transactions_behind(behind) == 0
    assert behind.transactions_behind(at(5)) is None


def test_limits() -> None:
    found = lag(primary(1, feeds=(2,), heartbeat=beat(0)), replica(2, follows(1), position=at(10), heartbeat=beat(20)))
    assert is_beyond(found, 989, None)
    assert not is_beyond(found, 990, 20.0)
    assert is_beyond(found, None, 19.0)


def test_heartbeats_of_two_clusters_are_not_compared() -> None:
    follower = replica(2, follows(1), position=at(10), heartbeat=beat(20))
    elsewhere = replace(follower, instance=replace(follower.instance, cluster="dr"))
    found = lag(primary(1, feeds=(2,), heartbeat=beat(0)), elsewhere)
    assert (found.total_bytes, found.seconds, found.seconds_at_most) == (990, None, None)
