"""Behaviours of facet ``session``."""
# ruff: noqa: S101 - a conformance suite is made of assertions

from datetime import UTC, datetime

import pytest

from dbre.core.errors import Denied
from dbre.ports.session import Role
from dbre.testing.conformance.subject import Subject, opened

__all__ = ["SessionConformance"]


class SessionConformance:
    """Who is there, and what may we do."""

    async def test_a_server_says_what_it_is(self, subject: Subject) -> None:
        """Product, version, role, login and start time are told."""
        async with opened(subject) as server:
            identity = await server.session.identify()
        assert identity.product == subject.product
        assert identity.version[: len(subject.version)] == subject.version
        assert identity.version_text
        assert identity.role is Role.PRIMARY
        assert not identity.is_read_only
        assert identity.user == subject.access.user
        assert identity.started_at is None or identity.started_at < datetime.now(UTC)

    async def test_a_server_is_the_same_each_time(self, subject: Subject) -> None:
        """Nothing about the identity depends on the connection."""
        async with opened(subject) as one, opened(subject) as other:
            assert await one.session.identify() == await other.session.identify()

    async def test_the_grant_script_gives_every_privilege_that_a_feature_needs(self, subject: Subject) -> None:
        """A login made by exactly ``grants()`` may use all features of this product."""
        async with opened(subject) as server:
            held = await server.session.privileges()
        ours = [one for one in subject.engine.features() if subject.product in one.products and not one.is_opt_in]
        assert {feature.privilege for feature in ours} <= held

    async def test_the_granted_login_is_no_superuser_and_finds_the_prober_s_table(self, subject: Subject) -> None:
        """What the grant script makes is enough, and not too much; None where the engine cannot tell."""
        async with opened(subject) as server:
            found = await server.session.login()
        assert found.is_superuser is not True
        assert found.has_heartbeat is not False

    async def test_a_login_without_grants_holds_the_base_privilege_only(self, subject: Subject) -> None:
        """Privileges are asked for, not assumed."""
        access = await subject.new_login("nobody", "s3cret-nobody", is_granted=False)
        async with opened(subject, access) as server:
            held = await server.session.privileges()
        needed = {feature.privilege for feature in subject.engine.features()}
        assert subject.base_privilege in held
        assert held & needed == {subject.base_privilege} & needed

    async def test_a_wrong_password_is_denied(self, subject: Subject) -> None:
        """The error names the address, and never the password."""
        async with opened(subject, subject.with_password("wr0ng-passw0rd")) as server:
            with pytest.raises(Denied) as caught:
                await server.session.identify()
        assert str(subject.access.address) in caught.value.message
        assert "wr0ng-passw0rd" not in repr(caught.value.as_document())
