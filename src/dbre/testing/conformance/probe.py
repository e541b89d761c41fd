"""Behaviours of facet ``probe``."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import asyncio
import time
from dataclasses import replace

import pytest

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address, EndpointPurpose
from dbre.core.secrets import SecretReference
from dbre.ports.engine import Access
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest
from dbre.ports.session import Role
from dbre.testing.conformance.subject import Subject, frozen, killed, opened, probing, seconds_to_cancel, sessions_left

__all__ = ["ProbeConformance"]

_DEADLINES = ProbeDeadlines(connect_seconds=1.0, statement_seconds=0.5, total_seconds=1.5)
_SLACK_SECONDS = 0.3
_SECRET_VARIABLE = "DBRE_CONFORMANCE_PASSWORD"  # noqa: S105 - the name of a variable


def _request(
    sequence: int = 1, *, purpose: EndpointPurpose = EndpointPurpose.WRITE, fresh: bool = False, row: str = "conformance"
) -> ProbeRequest:
    return ProbeRequest(purpose=purpose, heartbeat_id=row, sequence=sequence, fresh=fresh, deadlines=_DEADLINES)


def _with_secret_in_environment(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Access:
    assert subject.access.password is not None
    monkeypatch.setenv(_SECRET_VARIABLE, subject.access.password.reveal())
    return replace(subject.impatient(), password=SecretReference.parse(f"env:{_SECRET_VARIABLE}").secret())


class ProbeConformance:
    """One measurement from a client's point of view."""

    async def test_a_write_is_committed_and_read_back(self, subject: Subject) -> None:
        """GOOD means that a client's commit came back; the phases of a new connection are told apart."""
        async with probing(subject) as probe:
            await probe.prepare()
            first = await probe.measure(_request(1, row="write"))
            second = await probe.measure(_request(2, row="write"))
        assert (first.outcome, first.heartbeat_sequence) == (Outcome.GOOD, 1), first
        assert (second.outcome, second.heartbeat_sequence) == (Outcome.GOOD, 2), second
        assert first.role is Role.PRIMARY
        assert first.phases.connect_seconds is not None
        assert first.phases.query_seconds is not None
        assert second.phases.connect_seconds is None  # the connection was kept
        spent = [value for name in type(first.phases).__slots__ if (value := getattr(first.phases, name)) is not None]
        assert all(value >= 0 for value in spent)
        assert sum(spent) - first.phases.total_seconds <= first.phases.total_seconds + 0.001

    async def test_a_fresh_probe_connects_anew_and_leaves_the_kept_connection(self, subject: Subject) -> None:
        """The fresh connection is gone afterwards."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(1, row="fresh"))
            fresh = await probe.measure(_request(2, row="fresh", fresh=True))
            kept = await probe.measure(_request(3, row="fresh"))
            assert len(await sessions_left(subject, str(subject.access.user), at_most=1)) == 1
        assert fresh.outcome is kept.outcome is Outcome.GOOD
        assert fresh.phases.connect_seconds is not None
        assert kept.phases.connect_seconds is None

    async def test_a_heartbeat_never_goes_back(self, subject: Subject) -> None:
        """A late prober with an older sequence does not undo a newer one, and is not told a lie."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(9, row="order"))
            late = await probe.measure(_request(3, row="order"))
        assert (late.outcome, late.heartbeat_sequence) == (Outcome.GOOD, 9), late

    async def test_a_read_sees_what_was_written(self, subject: Subject) -> None:
        """The read purpose reads the heartbeat of its cluster, and no other's."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(5, row="read"))
            seen = await probe.measure(_request(6, row="read", purpose=EndpointPurpose.READ))
            other = await probe.measure(_request(6, row="nobody's", purpose=EndpointPurpose.READ))
        assert (seen.outcome, seen.heartbeat_sequence) == (Outcome.GOOD, 5), seen
        assert (other.outcome, other.heartbeat_sequence) == (Outcome.GOOD, None), other

    async def test_a_primary_behind_a_replica_endpoint_is_the_wrong_role(self, subject: Subject) -> None:
        """Clients of that endpoint would load the primary."""
        async with probing(subject) as probe:
            reading = await probe.measure(_request(purpose=EndpointPurpose.REPLICA))
        assert (reading.outcome, reading.code) == (Outcome.BAD, "wrong_role")
        assert reading.role is Role.PRIMARY

    @pytest.mark.parametrize("fresh", [False, True])
    async def test_a_frozen_server_is_bad_in_time(self, subject: Subject, *, fresh: bool) -> None:
        """The total deadline holds, the reading says timeout, and the next probe after the thaw is good."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(1, row="frozen"))
            async with frozen(subject):
                began = time.monotonic()
                hung = await probe.measure(_request(2, row="frozen", fresh=fresh))
                spent = time.monotonic() - began
            thawed = await probe.measure(_request(3, row="frozen", fresh=fresh))
        assert (hung.outcome, hung.code) == (Outcome.BAD, "timeout"), hung
        assert spent <= _DEADLINES.total_seconds + _SLACK_SECONDS
        assert hung.phases.total_seconds <= _DEADLINES.total_seconds + _SLACK_SECONDS
        assert thawed.outcome is Outcome.GOOD, thawed

    async def test_a_killed_server_is_bad_and_good_again_when_it_is_back(self, subject: Subject) -> None:
        """Refused connections are told at once, not at the deadline."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(1, row="killed"))
            async with killed(subject):
                began = time.monotonic()
                lost = await probe.measure(_request(2, row="killed"))
                refused = await probe.measure(_request(3, row="killed"))
                spent = time.monotonic() - began
            back = await probe.measure(_request(4, row="killed"))
        assert lost.outcome is refused.outcome is Outcome.BAD
        assert refused.code == "connection_refused", refused
        assert spent < _DEADLINES.connect_seconds
        assert (back.outcome, back.heartbeat_sequence) == (Outcome.GOOD, 4), back

    async def test_a_refused_login_is_bad_and_says_no_password(self, subject: Subject) -> None:
        """If the probe cannot log in, nobody knows that clients can."""
        async with probing(subject, subject.with_password("wr0ng-passw0rd")) as probe:
            reading = await probe.measure(_request())
        assert reading.outcome is Outcome.BAD, reading
        assert "wr0ng-passw0rd" not in repr(reading)
        assert reading.reason

    async def test_nobody_there_is_bad(self, subject: Subject) -> None:
        """A port where nothing listens."""
        async with probing(subject, replace(subject.access, address=Address("127.0.0.1", 1))) as probe:
            reading = await probe.measure(_request())
        assert (reading.outcome, reading.code) == (Outcome.BAD, "connection_refused")
        assert reading.phases.query_seconds is None

    async def test_a_host_without_an_address_is_bad(self, subject: Subject) -> None:
        """Name resolution is a phase of its own."""
        access = replace(subject.access, address=Address("no-such-host.invalid", subject.access.address.port))
        async with probing(subject, access) as probe:
            reading = await probe.measure(_request())
        assert (reading.outcome, reading.code) == (Outcome.BAD, "dns"), reading
        assert reading.phases.dns_seconds is not None

    async def test_a_cancelled_probe_leaves_no_connection_behind(self, subject: Subject) -> None:
        """Cancellation closes the socket at once."""
        async with probing(subject) as probe:
            await probe.prepare()
            await probe.measure(_request(1, row="cancelled"))
            async with frozen(subject):
                assert await seconds_to_cancel(probe.measure(_request(2, row="cancelled"))) < 0.2
            assert not await sessions_left(subject, str(subject.access.user), at_most=0)

    async def test_preparing_again_and_at_the_same_time_changes_nothing(self, subject: Subject) -> None:
        """Many probers start together."""
        async with probing(subject) as probe:
            await asyncio.gather(*(probe.prepare() for _ in range(5)))
            await probe.measure(_request(7, row="prepared"))
            await probe.prepare()
            reading = await probe.measure(_request(8, row="prepared", purpose=EndpointPurpose.READ))
        assert reading.heartbeat_sequence == 7

    async def test_preparing_without_the_privilege_names_the_grants(self, subject: Subject) -> None:
        """The error holds the script that an administrator can run."""
        access = await subject.new_login("unprepared", "s3cret-unprepared", is_granted=False)
        async with probing(subject, access) as probe:
            with pytest.raises(Denied) as caught:
                await probe.prepare()
        assert subject.engine.grants("unprepared") in str(caught.value.hint)

    async def test_a_write_without_the_privilege_does_not_count(self, subject: Subject) -> None:
        """A grant that is missing is our own fault, not the database's."""
        access = await subject.new_login("ungranted", "s3cret-ungranted", is_granted=False)
        async with probing(subject) as probe:
            await probe.prepare()
        async with probing(subject, access) as probe:
            reading = await probe.measure(_request())
        assert reading.outcome is Outcome.EXCLUDED, reading
        assert reading.code

    async def test_a_secret_that_is_gone_does_not_count(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        """Our own fault, and nothing was sent; when the secret is back, so is the probe."""
        access = _with_secret_in_environment(subject, monkeypatch)
        async with probing(subject, access) as probe:
            await probe.prepare()
            with monkeypatch.context() as without:
                without.delenv(_SECRET_VARIABLE)
                gone = await probe.measure(_request(1, row="secret", fresh=True))
            back = await probe.measure(_request(2, row="secret", fresh=True))
        assert (gone.outcome, gone.code) == (Outcome.EXCLUDED, "client_error"), gone
        assert _SECRET_VARIABLE in str(gone.reason)
        assert back.outcome is Outcome.GOOD, back

    async def test_a_failure_is_told_although_the_secret_is_gone(
        self, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A kept connection needs no secret, and what it says of the server counts."""
        access = _with_secret_in_environment(subject, monkeypatch)
        async with probing(subject, access) as probe, opened(subject, access) as server:
            await probe.prepare()
            await probe.measure(_request(1, row="secret"))
            await server.session.identify()
            monkeypatch.delenv(_SECRET_VARIABLE)
            async with frozen(subject):
                reading = await probe.measure(_request(2, row="secret"))
                with pytest.raises(Unreachable):
                    await server.session.identify()
        assert (reading.outcome, reading.code) == (Outcome.BAD, "timeout"), reading

    async def test_rows_with_hostile_names_are_kept_apart(self, subject: Subject) -> None:
        """The name of a cluster is data."""
        async with probing(subject) as probe:
            await probe.prepare()
            for position, name in enumerate(subject.hostile_names, start=1):
                reading = await probe.measure(_request(position, row=name))
                assert (reading.outcome, reading.heartbeat_sequence) == (Outcome.GOOD, position), reading

    async def test_a_probe_and_a_handle_know_the_same_system(self, subject: Subject) -> None:
        """Both tell the same system identifier, where there is one."""
        async with probing(subject) as probe, opened(subject) as server:
            reading = await probe.measure(_request(purpose=EndpointPurpose.READ))
            identity = await server.session.identify()
        assert reading.system_id == identity.system_id
