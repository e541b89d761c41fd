"""One slot of one endpoint: its addresses are tried within what is left of the slot, and at most one answer counts."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.observe.candidate import Candidate
from dbre.core.clock import Clock
from dbre.ports.probe import Outcome, Phases, ProbeDeadlines, ProbeReading, ProbeRequest

__all__ = ["Answer", "EndpointProbe"]

_GRACE_SECONDS = 0.1  # an engine ends its probe itself and then knows the phases; only then we cut it off


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a slot brought: the reading that counts, and whose it is. ``is_queued``: no database was asked in time."""

    reading: ProbeReading
    candidate: Candidate
    is_queued: bool = False


@dataclass(slots=True)
class _Slot:
    """The attempts of one slot while they run."""

    request: ProbeRequest
    ends: float
    waiting: deque[Candidate]  # not begun
    running: "dict[asyncio.Task[ProbeReading], Candidate]"
    failed: list[Answer]
    next_start: float


class EndpointProbe:
    """Measures one endpoint and keeps to the address that last answered in the wanted role."""

    def __init__(self, candidates: Sequence[Candidate], *, clock: Clock) -> None:
        self._candidates = tuple(candidates)
        self._clock = clock
        self._current = self._candidates[0]

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The addresses, the one that answered last first."""
        return [self._current, *(one for one in self._candidates if one is not self._current)]

    async def measure(self, request: ProbeRequest, *, ends: float) -> Answer:
        """Measure once; ends at the monotonic moment ``ends`` or a moment later, whatever the servers do.

        The preferred address goes first. The next one follows when it failed, or when it has been silent for its share of
        the time, and the first good answer ends the slot. Where nobody is good, the reading of the most preferred address
        counts, except that a server in the wrong role says nothing about the one that was wanted.
        """
        began = self._clock.monotonic()
        order = self.candidates
        slot = _Slot(request, ends, deque(order), {}, [], began)
        share = max(ends - began, 0) / (len(order) + 1)
        try:
            while (answer := await self._advance(slot, share)) is None:
                pass
        finally:
            for attempt, candidate in slot.running.items():
                candidate.abandon(attempt)
        if answer.reading.outcome is Outcome.GOOD:
            self._current = answer.candidate
        for candidate in self._candidates:
            if candidate is not self._current:
                candidate.drop()
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(one.aclose() for one in self._candidates))

    async def _advance(self, slot: _Slot, share: float) -> Answer | None:
        """Start what is due, wait for the next thing to happen, and return the answer if that settles the slot."""
        now = self._clock.monotonic()
        if slot.waiting and now < slot.ends and (not slot.running or now >= slot.next_start):
            candidate = slot.waiting.popleft()
            request = replace(slot.request, deadlines=_within(slot.request.deadlines, slot.ends - now))
            slot.running[candidate.start(request)] = candidate
            slot.next_start = now + share
        if not slot.running or now >= slot.ends + _GRACE_SECONDS:
            return self._verdict(slot)
        pause = min(slot.next_start if slot.waiting else slot.ends + _GRACE_SECONDS, slot.ends + _GRACE_SECONDS) - now
        for task in await self._first_of(list(slot.running), pause):
            answer = _answer(task, slot.running.pop(task), slot.request)
            if answer.reading.outcome is Outcome.GOOD:
                return answer
            slot.failed.append(answer)
            slot.next_start = self._clock.monotonic()
        return None

    async def _first_of(self, tasks: "list[asyncio.Task[ProbeReading]]", seconds: float) -> "set[asyncio.Task[ProbeReading]]":
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([*tasks, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return {task for task in tasks if task.done()}

    def _verdict(self, slot: _Slot) -> Answer:
        silent = [_silence(task, one, slot.request) for task, one in slot.running.items()]
        never = [Answer(reading=_timeout(slot.request), candidate=one, is_queued=True) for one in slot.waiting]
        order = {id(one): place for place, one in enumerate(self.candidates)}
        answers = sorted([*slot.failed, *silent, *never], key=lambda one: (_weight(one), order[id(one.candidate)]))
        return answers[0]


def _answer(attempt: "asyncio.Task[ProbeReading]", candidate: Candidate, request: ProbeRequest) -> Answer:
    if attempt.cancelled():  # cut off by the endpoint's next slot, before the grace of this one was over
        return _silence(attempt, candidate, request)
    return Answer(reading=attempt.result(), candidate=candidate)


def _silence(attempt: "asyncio.Task[ProbeReading]", candidate: Candidate, request: ProbeRequest) -> Answer:
    # A database that we asked so late that it had less than half of its time is not called silent.
    is_queued = candidate.waited_seconds(attempt) > request.deadlines.total_seconds / 2
    return Answer(reading=_timeout(request), candidate=candidate, is_queued=is_queued)


def _weight(answer: Answer) -> int:
    if answer.is_queued:
        return 2
    return 1 if answer.reading.code == "wrong_role" else 0


def _timeout(request: ProbeRequest) -> ProbeReading:
    limit = request.deadlines.total_seconds
    return ProbeReading(
        outcome=Outcome.BAD, code="timeout", reason=f"no answer within {limit:g} s", phases=Phases(total_seconds=limit)
    )


def _within(deadlines: ProbeDeadlines, seconds: float) -> ProbeDeadlines:
    if seconds > deadlines.total_seconds - _GRACE_SECONDS / 2:
        return deadlines  # the usual case: the same limits, and so the same words in a reason, each time
    return ProbeDeadlines(
        connect_seconds=min(deadlines.connect_seconds, seconds),
        statement_seconds=min(deadlines.statement_seconds, seconds),
        total_seconds=min(deadlines.total_seconds, seconds),
    )
