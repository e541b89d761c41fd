"""Readings follow from what was seen, and tell what was seen until then."""

import pytest

from dbre.core.fleet import EndpointPurpose
from dbre.ports.measurement import Measurement
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest
from dbre.ports.session import Role


def measurement(purpose: EndpointPurpose = EndpointPurpose.WRITE, *, role: Role = Role.PRIMARY, seen: int | None = None):
    request = ProbeRequest(purpose=purpose, heartbeat_id="orders", sequence=7, fresh=False, deadlines=ProbeDeadlines())
    return Measurement(request=request, role=role, heartbeat_sequence=seen)


@pytest.mark.parametrize(
    ("purpose", "role", "is_wrong"),
    [
        (EndpointPurpose.WRITE, Role.PRIMARY, False),
        (EndpointPurpose.READ, Role.PRIMARY, False),
        (EndpointPurpose.REPLICA, Role.REPLICA, False),
        (EndpointPurpose.WRITE, Role.REPLICA, True),
        (EndpointPurpose.READ, Role.REPLICA, True),
        (EndpointPurpose.REPLICA, Role.PRIMARY, True),
    ],
)
def test_each_purpose_wants_a_role(purpose: EndpointPurpose, role: Role, is_wrong: bool) -> None:
    reading = measurement(purpose, role=role).wrong_role()
    assert (reading is not None) is is_wrong
    if reading is not None:
        assert (reading.outcome, reading.code, reading.role) == (Outcome.BAD, "wrong_role", role)


@pytest.mark.parametrize(("seen", "is_lost"), [(None, True), (6, True), (7, False), (8, False)])
def test_an_acknowledged_write_that_does_not_come_back_is_lost(seen: int | None, is_lost: bool) -> None:
    reading = measurement(seen=seen).lost_write()
    assert (reading is not None) is is_lost
    if reading is not None:
        assert (reading.outcome, reading.code) == (Outcome.BAD, "lost_write")
        assert reading.reason == f"wrote sequence 7, read back {seen}"


def test_a_commit_that_was_lost_is_called_one() -> None:
    committed = measurement(seen=6)
    committed.watch.begin("commit")
    assert committed.lost_write().reason == "committed sequence 7, read back 6"


@pytest.mark.parametrize("purpose", [EndpointPurpose.READ, EndpointPurpose.REPLICA])
def test_who_only_reads_loses_no_write(purpose: EndpointPurpose) -> None:
    assert measurement(purpose, seen=None).lost_write() is None


def test_phases_that_did_not_happen_are_unknown() -> None:
    so_far = measurement()
    so_far.watch.begin("dns")
    phases = so_far.reading(Outcome.BAD, "dns", "no such name").phases
    assert phases.dns_seconds is not None
    assert phases.connect_seconds is phases.commit_seconds is None
    assert phases.total_seconds >= phases.dns_seconds
