"""Servers asked round after round by an observer: a question outlives the round in which it was asked.

Where packets are lost an answer takes seconds: a lost SYN is sent again after 1 s and 3 s, a lost question after 0.2 s, 0.6 s,
1.4 s. Who gives up after each round and begins anew is blind there, although every server lives. So a question goes on, and a
second one is asked over a connection of its own, for the first may wait for the resending of a packet for longer than a new
connection takes. Connections are kept while they answer, and made anew now and then: an old one does not prove that logins
work.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType

from dbre.capabilities.ha.model import Node
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Fleet, Instance
from dbre.ports.engine import EngineRegistry, Server, Timeouts
from dbre.ports.topology import Contact, NodeView

__all__ = ["ANEW_EVERY", "LastingNodes"]

_TIMEOUTS = Timeouts(connect_seconds=8.0, statement_seconds=8.0, lock_seconds=0.5)
"""Of one question, however many rounds that is: the third SYN goes out after 3 s, the fourth after 7 s."""
_QUESTION_SECONDS = 16.0
_SECOND_AFTER_SECONDS = 2.0
_REMEMBERED = 200  # answers: of the last two minutes, where all is well
_SHARE = 0.99
ANEW_EVERY = 60
"""Answers over one connection, after which the next one is asked over a new one."""


@dataclass(slots=True)
class _Question:
    """One that is on its way."""

    server: Server
    task: asyncio.Task[NodeView]
    since: float


class LastingNodes(Nodes):
    """``Nodes`` whose limit is that of a round, and not of a question."""

    def __init__(self, engines: EngineRegistry, fleet: Fleet, clock: Clock, *, limit_seconds: float) -> None:
        super().__init__(engines, fleet, limit_seconds=limit_seconds, timeouts=_TIMEOUTS)
        self._clock = clock
        self._asked: dict[str, list[_Question]] = {}
        self._answers: dict[str, int] = {}  # over the connection that is kept
        self._took: dict[str, deque[float]] = {}

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asked, self._asked = self._asked, {}
        for one in (one for questions in asked.values() for one in questions):
            await _give_up(one)
        await super().__aexit__(kind, error, trace)

    def answer_seconds(self, name: str) -> float | None:
        """Of 100 of the last answers of a server 99 took no longer, a single long one never counts; None: it gave none yet."""
        took = sorted(self._took.get(name, ()))
        return took[max(0, min(len(took) - 2, round(len(took) * _SHARE)))] if took else None

    async def _look(self, instance: Instance) -> Node:
        """What a question of this round or of an earlier one brings before the round ends."""
        name, end = instance.name, self._clock.monotonic() + self._limit_seconds
        questions = self._asked.setdefault(name, [])
        try:
            if not questions:
                questions.append(self._question(instance, await self._kept(instance)))
            while True:
                now = self._clock.monotonic()
                if len(questions) == 1 and now - questions[0].since >= _SECOND_AFTER_SECONDS:
                    self._answers[instance.name] = 0
                    questions.append(self._question(instance, self._connect(instance)))
                second_at = questions[0].since + _SECOND_AFTER_SECONDS if len(questions) == 1 else end
                done = await self._first(questions, min(end, max(second_at, now)) - now)
                if done is not None:
                    return await self._settled(instance, done)
                if self._clock.monotonic() >= end:
                    break
        except DbreError as error:  # a driver that is not installed
            return Node(instance=instance, contact=Contact.UNKNOWN, view=None, error=error)
        for one in [one for one in questions if end - one.since > _QUESTION_SECONDS]:
            questions.remove(one)
            await _give_up(one)
        return self._late(instance)

    async def _first(self, questions: list[_Question], seconds: float) -> _Question | None:
        """The first that ended, the one that was asked later before the other: it knows more."""
        await asyncio.wait([one.task for one in questions], timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        return next((one for one in reversed(questions) if one.task.done()), None)

    async def _settled(self, instance: Instance, done: _Question) -> Node:
        """Keep the connection that answered, and no other."""
        for one in [one for one in self._asked[instance.name] if one is not done]:
            await _give_up(one)
        del self._asked[instance.name]  # not before: whoever is cancelled there leaves the rest to be closed at the end
        try:
            view = done.task.result()
        except DbreError as error:
            await _give_up(done)
            return Node(instance=instance, contact=done.server.topology.contact(error), view=None, error=error)
        except BaseException:
            await _give_up(done)
            raise
        took = self._took.setdefault(instance.name, deque(maxlen=_REMEMBERED))
        took.append(self._clock.monotonic() - done.since)
        self._open[instance.name] = done.server
        self._answers[instance.name] += 1
        return Node(instance=instance, contact=Contact.ANSWERED, view=view)

    async def _kept(self, instance: Instance) -> Server:
        """The connection of the last answer, which is this question's until it answers again; or a new one."""
        server = self._open.pop(instance.name, None)
        if server is not None and self._answers[instance.name] < ANEW_EVERY:
            return server
        if server is not None:
            await server.aclose()
        self._answers[instance.name] = 0
        return self._connect(instance)

    def _question(self, instance: Instance, server: Server) -> _Question:
        asking = asyncio.create_task(server.topology.view(heartbeat=instance.cluster))
        return _Question(server=server, task=asking, since=self._clock.monotonic())


async def _give_up(one: _Question) -> None:
    one.task.cancel()
    try:
        await asyncio.gather(one.task, return_exceptions=True)
    finally:
        await one.server.aclose()
