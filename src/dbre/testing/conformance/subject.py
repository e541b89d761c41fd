"""A running server as its engine's author presents it to the conformance suite, and what the suite does to it."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol

from dbre.core.secrets import Secret
from dbre.ports.engine import Access, Engine, Server, Timeouts
from dbre.ports.probe import ProbePort

__all__ = [
    "HOSTILE_NAMES",
    "QUICK",
    "LiveServer",
    "Subject",
    "frozen",
    "killed",
    "opened",
    "probing",
    "seconds_to_cancel",
    "sessions_left",
]

QUICK = Timeouts(connect_seconds=1.0, statement_seconds=1.0, lock_seconds=0.3)
"""Limits that a test with a frozen server can wait for."""

HOSTILE_NAMES = (
    "quote\"d 'n` \\back\\ $1 :name ?",
    "100%s %(name)s %%",
    "line\nbreak\ttab",
    "esc\x1b[2J\u202e<script>alert(1)</script>",
    "naïve 名前",
)
"""Names that are data wherever they appear: quoting, placeholders, terminal control, markup, other alphabets."""


class LiveServer(Protocol):
    """How a test disturbs a server; the lab's servers can."""

    async def start(self) -> None:
        """Start it, on the same port as before."""
        ...

    async def kill(self) -> None:
        """End it at once, as if the power failed."""
        ...

    async def freeze(self) -> None:
        """Let it hang: connections stay open, nothing answers."""
        ...

    async def thaw(self) -> None:
        """Let it go on."""
        ...


class Subject(ABC):
    """One server, reached in two ways: as the engine does, and as an administrator does behind its back."""

    def __init__(self, *, engine: Engine, product: str, version: tuple[int, ...], server: LiveServer, access: Access) -> None:
        self.engine = engine
        self.product = product
        self.version = version  # as many parts as the author is sure of
        self.server = server
        self.access = access  # a login that holds exactly what ``engine.grants()`` gives

    @property
    def base_privilege(self) -> str:
        """The word for what every login may do: CONNECT, USAGE."""
        return "CONNECT"

    @property
    def hostile_names(self) -> Sequence[str]:
        """Names that a login of this engine may bear."""
        return HOSTILE_NAMES

    @abstractmethod
    async def new_login(self, name: str, password: str, *, is_granted: bool) -> Access:
        """Make a login, by exactly the engine's grant script where ``is_granted``; its timeouts are ``QUICK``."""

    @abstractmethod
    async def new_database(self, name: str) -> Access | None:
        """Make a database of that name and give access to it as ``access`` does; None where the engine has no such thing."""

    @abstractmethod
    async def sessions_of(self, user: str) -> Sequence[str]:
        """The application names of the sessions that a login has now."""

    @abstractmethod
    def busy_session(self) -> AbstractAsyncContextManager[str | None]:
        """A session of somebody else inside a transaction; gives its id as ``SessionInfo.session_id`` shows it."""

    @abstractmethod
    def blocked_session(self) -> AbstractAsyncContextManager[tuple[str, str] | None]:
        """Two sessions, of which the first waits for the second; gives their ids, None where the engine has no locks."""

    def impatient(self, access: Access | None = None) -> Access:
        """An access with limits that a test can wait for."""
        return replace(access or self.access, timeouts=QUICK)

    def with_password(self, password: str) -> Access:
        """The granted login with another password."""
        return replace(self.impatient(), password=Secret(password))


@asynccontextmanager
async def opened(subject: Subject, access: Access | None = None) -> AsyncIterator[Server]:
    """A server handle that is closed afterwards."""
    server = subject.engine.connect(access or subject.impatient())
    try:
        yield server
    finally:
        await server.aclose()


@asynccontextmanager
async def probing(subject: Subject, access: Access | None = None) -> AsyncIterator[ProbePort]:
    """A probe that is closed afterwards."""
    probe = subject.engine.probe(access or subject.impatient())
    try:
        yield probe
    finally:
        await probe.aclose()


@asynccontextmanager
async def frozen(subject: Subject) -> AsyncIterator[None]:
    """The server hangs inside the block."""
    await subject.server.freeze()
    try:
        yield
    finally:
        await subject.server.thaw()


@asynccontextmanager
async def killed(subject: Subject) -> AsyncIterator[None]:
    """The server is gone inside the block."""
    await subject.server.kill()
    try:
        yield
    finally:
        await subject.server.start()


async def seconds_to_cancel(call: Coroutine[Any, Any, object]) -> float:
    """Let a call hang for a moment and cancel it: how long it takes to obey."""
    hanging = asyncio.create_task(call)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    hanging.cancel()
    with suppress(asyncio.CancelledError):
        await hanging
    assert hanging.cancelled(), "the call ended, and not because it was cancelled"
    return time.monotonic() - began


async def sessions_left(subject: Subject, user: str, *, at_most: int, within_seconds: float = 5.0) -> Sequence[str]:
    """The sessions of a login once there are no more than that: servers take a moment to notice a closed socket."""
    deadline = time.monotonic() + within_seconds
    while True:
        found = await subject.sessions_of(user)
        if len(found) <= at_most or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)
