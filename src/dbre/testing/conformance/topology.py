"""Behaviours of facet ``topology`` on a server that stands alone, asked by a login with no more than the grants."""
# ruff: noqa: S101 - a conformance suite is made of assertions

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.ports.session import Role
from dbre.ports.topology import Contact
from dbre.testing.conformance.subject import Subject, frozen, opened

__all__ = ["TopologyConformance"]


class TopologyConformance:
    """Itself and its neighbours, and what a failure says about its life."""

    async def test_a_primary_alone_says_what_it_is(self, subject: Subject) -> None:
        """A position, an identity, nobody above and nobody below; what a primary cannot have is unknown."""
        async with opened(subject) as server:
            view = await server.topology.view()
            again = await server.topology.view()
        assert (view.role, view.is_writable) == (Role.PRIMARY, True)
        assert view.process_id == again.process_id
        assert view.position is not None
        assert again.position is not None
        assert (view.position.bytes_behind(again.position) or 0) >= 0
        assert (view.upstreams, view.downstreams, view.has_upstream_configured) == ((), (), None)
        assert (view.is_replay_paused, view.min_apply_delay_seconds, view.heartbeat) == (None, None, None)
        assert abs(view.measured_at - datetime.now(UTC)) < timedelta(seconds=10)

    async def test_a_heartbeat_that_nobody_wrote_is_unknown(self, subject: Subject) -> None:
        """A row of that name is not there, whatever the name holds."""
        async with opened(subject) as server:
            for name in ("nobody", *(f"nobody {name}" for name in subject.hostile_names)):
                assert (await server.topology.view(heartbeat=name)).heartbeat is None, name

    async def test_a_wrong_password_is_a_sign_of_life(self, subject: Subject) -> None:
        """The server spoke: it lives."""
        async with opened(subject, subject.with_password("wrong")) as server:
            with pytest.raises(DbreError) as caught:
                await server.topology.view()
            assert server.topology.contact(caught.value) is Contact.REFUSED

    async def test_where_nobody_listens_the_connection_is_reset(self, subject: Subject) -> None:
        """Port 1 of the loopback."""
        async with opened(subject, replace(subject.impatient(), address=Address("127.0.0.1", 1))) as server:
            with pytest.raises(DbreError) as caught:
                await server.topology.view()
            assert server.topology.contact(caught.value) is Contact.RESET

    async def test_a_server_that_hangs_is_silent(self, subject: Subject) -> None:
        """Neither dead nor alive, as far as one observer can tell."""
        async with opened(subject) as server, frozen(subject):
            with pytest.raises(DbreError) as caught:
                await server.topology.view()
            assert server.topology.contact(caught.value) is Contact.TIMEOUT
