"""Behaviours of facet ``replication`` on a server that stands alone; authors test their own pairs."""
# ruff: noqa: S101 - a conformance suite is made of assertions

from datetime import UTC, datetime, timedelta

from dbre.ports.session import Role
from dbre.testing.conformance.subject import Subject, opened

__all__ = ["ReplicationConformance"]


class ReplicationConformance:
    """Who follows whom, and how far behind."""

    async def test_a_primary_without_replicas_follows_nobody(self, subject: Subject) -> None:
        """What a primary cannot have is unknown, and never 0."""
        async with opened(subject) as server:
            status = await server.replication.status()
        assert status.role is Role.PRIMARY
        assert status.links == ()
        assert status.upstream is None
        assert status.is_receiving is None
        assert status.replay_lag_bytes is None
        assert status.replay_lag_seconds is None
        assert abs(status.measured_at - datetime.now(UTC)) < timedelta(seconds=10)
