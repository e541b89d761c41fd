"""Behaviours of facet ``activity``."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from dbre.testing.conformance.subject import Subject, opened

__all__ = ["ActivityConformance"]


class ActivityConformance:
    """What sessions are doing now."""

    async def test_the_asking_session_is_not_counted(self, subject: Subject) -> None:
        """Asking is not among what is counted; others may use the server at the same time, and come and go."""
        async with opened(subject) as server:
            await server.session.identify()
            own = len(await subject.sessions_of(str(subject.access.user)))
            for _ in range(100):
                listed = await server.activity.sessions(limit=1000)
                counted = sum((await server.activity.summary()).sessions_by_state.values())
                if counted == len(listed):
                    break
                await asyncio.sleep(0.05)
        assert own == 1
        assert subject.access.user not in [one.user for one in listed]
        assert counted == len(listed)

    async def test_sessions_are_counted_against_the_limit(self, subject: Subject) -> None:
        """A session of somebody else appears in the count and in the list."""
        async with opened(subject) as server:
            before = await server.activity.summary()
            async with subject.busy_session() as busy:
                during = await server.activity.summary()
                listed = await server.activity.sessions(limit=1000)
        assert sum(during.sessions_by_state.values()) > sum(before.sessions_by_state.values())
        assert busy is None or busy in [session.session_id for session in listed]
        assert during.max_sessions > 0
        assert abs(during.measured_at - datetime.now(UTC)) < timedelta(seconds=10)

    async def test_a_list_is_no_longer_than_its_limit(self, subject: Subject) -> None:
        """The limit is the server's work, and 0 is a limit."""
        async with opened(subject) as server, subject.busy_session(), subject.busy_session():
            assert len(await server.activity.sessions(limit=1)) == 1
            assert not await server.activity.sessions(limit=0)

    async def test_a_waiting_session_names_who_blocks_it(self, subject: Subject) -> None:
        """Blocked sessions are counted, and the list tells by whom."""
        async with opened(subject) as server, subject.blocked_session() as pair:
            if pair is None:
                pytest.skip(f"{subject.product} has no locks to wait for")
            waiting, blocking = pair
            summary = await server.activity.summary()
            by_id = {session.session_id: session for session in await server.activity.sessions(limit=1000)}
        assert summary.blocked_sessions is None or summary.blocked_sessions >= 1
        if summary.blocked_sessions is not None:
            assert by_id[waiting].blocked_by == (blocking,)
            assert by_id[blocking].blocked_by == ()
