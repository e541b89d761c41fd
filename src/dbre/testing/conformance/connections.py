"""Behaviours of every connection: bounded, named, timed, gone when it should be, and never telling a password."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import asyncio
import gc
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Address
from dbre.ports.engine import Server
from dbre.testing.conformance.subject import QUICK, Subject, frozen, killed, opened, seconds_to_cancel, sessions_left

__all__ = ["ConnectionConformance"]

_SLACK_SECONDS = 1.0


async def _collect(server: Server) -> object:
    """Run the first collector; which there are is known without asking once privileges are."""
    (first, *_) = await server.statistics.collectors()
    return await server.statistics.collect(first.name)


_CALLS: dict[str, Callable[[Server], Coroutine[Any, Any, object]]] = {
    "session.identify": lambda server: server.session.identify(),
    "session.privileges": lambda server: server.session.privileges(),
    "activity.summary": lambda server: server.activity.summary(),
    "activity.sessions": lambda server: server.activity.sessions(limit=10),
    "replication.status": lambda server: server.replication.status(),
    "settings.list": lambda server: server.settings.list(),
    "statistics.collect": _collect,
}


async def _time_until_unreachable(server: Server, name: str) -> float:
    began = time.monotonic()
    try:
        await _CALLS[name](server)
    except Unreachable:
        return time.monotonic() - began
    pytest.fail(f"{name} got an answer from a frozen server")


class ConnectionConformance:
    """What holds for every facet, because it holds for their connections."""

    async def test_every_call_on_a_frozen_server_ends_in_time(self, subject: Subject) -> None:
        """Connections that were good hang: the calls are Unreachable when their time is up, and the connections are gone."""
        access = replace(subject.impatient(), max_connections=len(_CALLS))
        async with opened(subject, access) as server:
            await asyncio.gather(*(call(server) for call in _CALLS.values()))
            async with frozen(subject):
                spent = await asyncio.gather(*(_time_until_unreachable(server, name) for name in _CALLS))
            assert max(spent) <= QUICK.connect_seconds + QUICK.statement_seconds + _SLACK_SECONDS
            assert not await sessions_left(subject, str(access.user), at_most=0)

    async def test_connecting_to_a_frozen_server_ends_in_time(self, subject: Subject) -> None:
        """The kernel accepts for a frozen server, and nobody answers."""
        async with frozen(subject), opened(subject) as server:
            spent = await _time_until_unreachable(server, "session.identify")
        assert spent <= QUICK.connect_seconds + QUICK.statement_seconds + _SLACK_SECONDS
        assert not await sessions_left(subject, str(subject.access.user), at_most=0)

    async def test_closing_does_not_wait_for_a_frozen_server(self, subject: Subject) -> None:
        """``aclose`` is at once, also with a connection that hangs in a statement."""
        async with opened(subject) as server:
            await server.session.identify()
            async with frozen(subject):
                hanging = asyncio.create_task(_CALLS["session.identify"](server))
                await asyncio.sleep(0.1)
                began = time.monotonic()
                await server.aclose()
                spent = time.monotonic() - began
                with pytest.raises(Unreachable):
                    await asyncio.wait_for(hanging, QUICK.connect_seconds + QUICK.statement_seconds + _SLACK_SECONDS)
        assert spent < 0.2
        assert not await sessions_left(subject, str(subject.access.user), at_most=0)

    async def test_a_cancelled_call_leaves_no_connection_behind(self, subject: Subject) -> None:
        """Cancellation is obeyed at once, and the connection that hung is closed."""
        async with opened(subject) as server:
            await server.session.identify()
            async with frozen(subject):
                assert await seconds_to_cancel(_CALLS["session.identify"](server)) < 0.2
            assert not await sessions_left(subject, str(subject.access.user), at_most=0)

    async def test_calls_cancelled_at_any_moment_leave_no_connection_behind(self, subject: Subject) -> None:
        """Whatever a call was doing when it was cancelled (connecting, logging in, asking), the bound holds afterwards."""
        access = subject.impatient()
        async with opened(subject, access) as server:
            for step in range(40):
                call = asyncio.create_task(_CALLS["session.identify"](server))
                await asyncio.sleep(step * 0.0005)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            assert (await server.session.identify()).user == access.user
            assert len(await sessions_left(subject, str(access.user), at_most=access.max_connections)) <= access.max_connections
        gc.collect()
        assert not await sessions_left(subject, str(access.user), at_most=0)

    async def test_a_killed_server_is_unreachable_and_reached_again_when_it_is_back(self, subject: Subject) -> None:
        """The error comes at once, and no restart of ours is needed."""
        async with opened(subject) as server:
            await server.session.identify()
            async with killed(subject):
                began = time.monotonic()
                with pytest.raises(Unreachable) as caught:
                    await server.session.identify()
                spent = time.monotonic() - began
            assert spent <= QUICK.connect_seconds + QUICK.statement_seconds
            assert str(subject.access.address) in caught.value.message
            assert (await server.session.identify()).user == subject.access.user

    async def test_a_dead_server_is_asked_no_more_for_a_while(self, subject: Subject) -> None:
        """After some failures the answer comes without asking."""
        async with opened(subject, replace(subject.impatient(), address=Address("127.0.0.1", 1))) as server:
            codes = []
            for _ in range(8):
                with pytest.raises(Unreachable) as caught:
                    await server.session.identify()
                codes.append(caught.value.code)
        assert codes[0] == Unreachable.code
        assert codes[-1] == "core.circuit_open"

    async def test_connections_stay_within_their_bound(self, subject: Subject) -> None:
        """Many questions at the same time share the allowed connections."""
        access = replace(subject.access, max_connections=3)
        most = 0
        async with opened(subject, access) as server:
            calls = [asyncio.create_task(_CALLS["settings.list"](server)) for _ in range(30)]
            while not all(call.done() for call in calls):
                most = max(most, len(await subject.sessions_of(str(access.user))))
                await asyncio.sleep(0)
            await asyncio.gather(*calls)
            most = max(most, len(await subject.sessions_of(str(access.user))))
        assert 1 <= most <= 3
        assert not await sessions_left(subject, str(access.user), at_most=0)

    async def test_a_handle_opens_nothing_before_the_first_question(self, subject: Subject) -> None:
        """Connections are lazy."""
        async with opened(subject):
            await asyncio.sleep(0.05)
            assert not await subject.sessions_of(str(subject.access.user))

    async def test_connections_say_whose_they_are(self, subject: Subject) -> None:
        """An operator who looks at the sessions sees dbre, and what for."""
        async with opened(subject) as server, opened(subject, replace(subject.access, application_name="dbre:test")) as other:
            await server.session.identify()
            await other.session.identify()
            names = sorted(await subject.sessions_of(str(subject.access.user)))
        assert len(names) == 2
        assert all(name.startswith("dbre:") for name in names)
        assert "dbre:test" in names

    async def test_names_are_data(self, subject: Subject) -> None:
        """Quotes, line ends, placeholders and markup in the name of a login change nothing but the name."""
        for position, name in enumerate(subject.hostile_names):
            access = await subject.new_login(name, f"pa'ss\"%s\\{position}", is_granted=True)
            async with opened(subject, access) as server:
                assert (await server.session.identify()).user == name
                await server.activity.summary()
                for collector in await server.statistics.collectors():
                    await server.statistics.collect(collector.name)

    async def test_databases_with_hostile_names_are_reached(self, subject: Subject) -> None:
        """The same holds for the name of the database."""
        for name in subject.hostile_names:
            access = await subject.new_database(name)
            if access is None:
                pytest.skip(f"{subject.product} has no databases to name")
            async with opened(subject, access) as server:
                await server.session.identify()
                families = [
                    family
                    for collector in await server.statistics.collectors()
                    for family in await server.statistics.collect(collector.name)
                ]
            labels = [value for family in families for sample in family.samples for value in sample.labels.values()]
            assert name in labels

    async def test_the_password_is_never_told(self, subject: Subject) -> None:
        """Not in an error, its causes or its traceback, nor in the repr of what holds it."""
        secret = "xyzzy-plugh-%s-'quoted'"  # noqa: S105 - made up
        dead = replace(subject.with_password(secret), address=Address("127.0.0.1", 1))
        missing = replace(subject.with_password(secret), database="no such database")
        told = []
        for access in (subject.with_password(secret), dead, missing):
            async with opened(subject, access) as server:
                told.append(repr(server) + repr(vars(server)))
                with pytest.raises(DbreError) as caught:
                    await server.session.identify()
            error = caught.value
            told += ["".join(traceback.format_exception(error)), repr(error.as_document()), repr(access)]
        assert not [text for text in told if secret in text]
