"""A stream of server-sent events that carries the live part of an operation's page anew each time it differs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from dbre.core.errors import DbreError, StoreError
from dbre.core.identity.model import Principal
from dbre.core.operation.journal import TOPIC
from dbre.core.operation.model import OperationRecord
from dbre.web.access import open_session
from dbre.web.services import Services

__all__ = ["follow"]

Draw = Callable[[Principal, OperationRecord], str]
"""Draws the live part for somebody."""

_LOOK_SECONDS = 1.0  # another process may have written: this one hears only of its own commits
_LEAST_SECONDS = 0.1  # many operations may be announced in a second
_EASY_COUNT = 20  # with more streams than this each looks more rarely, so that probes stay in time
_QUIET_SECONDS = 15.0  # a proxy closes a connection on which nothing is sent for a minute
_ASK_AGAIN_SECONDS = 10.0  # whether the session still holds
_LONGEST_SECONDS = 600.0  # then the browser connects again

_LOGGED_OUT = '<p class="problem">Your session has ended. <a href="/login?next=/operations/{}">Log in again</a></p>'
_GONE = '<p class="problem">You may no longer see this operation.</p>'
_ENDED = "event: ended\ndata: ended\n\n"
_CROWDED = "event: crowded\nretry: 15000\ndata: crowded\n\n"  # without a place: one picture, the next after 15 s


def follow(request: Request, wired: Services, operation_id: UUID, draw: Draw) -> Response:
    """Answer with the stream. A browser that comes back with ``Last-Event-ID`` gets only what it has not seen."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(request, wired, operation_id, draw)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(request: Request, wired: Services, operation_id: UUID, draw: Draw) -> AsyncIterator[str]:
    """As long as there is a session. Errors end the stream quietly: the browser connects again, and then it is told."""
    session = open_session(request, wired)
    name = session.principal.name if session is not None else ""
    with wired.streams.place(name) as has_room:
        if not has_room:
            yield _CROWDED  # a named event: the browser takes the pause from nothing less
        try:
            async for message in _pictures(request, wired, operation_id, draw, is_brief=not has_room):
                yield message
        except StoreError:
            return


async def _pictures(request: Request, wired: Services, operation_id: UUID, draw: Draw, *, is_brief: bool) -> AsyncIterator[str]:
    clock, changed = wired.clock, wired.store.listen(TOPIC)
    begun = asked_at = quiet_since = clock.monotonic()
    seen, known, session = request.headers.get("last-event-id", ""), None, open_session(request, wired)
    while clock.monotonic() - begun < _LONGEST_SECONDS:
        changed.clear()
        if clock.monotonic() - asked_at > _ASK_AGAIN_SECONDS:
            session, asked_at = open_session(request, wired), clock.monotonic()
        if session is None:
            yield _message(_LOGGED_OUT.format(operation_id), "") + _ENDED
            return
        try:
            record = await wired.desk(session.principal).get(operation_id)
        except StoreError:
            raise
        except DbreError:
            yield _message(_GONE, "") + _ENDED
            return
        fragment = draw(session.principal, record) if record != known else None
        known, mark = record, _mark(fragment) if fragment is not None else seen
        if fragment is not None and mark != seen:
            seen, quiet_since = mark, clock.monotonic()
            yield _message(fragment, mark)
        elif clock.monotonic() - quiet_since > _QUIET_SECONDS:
            quiet_since = clock.monotonic()
            yield ": still here\n\n"
        if record.is_final:
            yield _ENDED
        if record.is_final or is_brief:
            return
        await _pause(changed, max(1.0, wired.streams.count / _EASY_COUNT))


async def _pause(changed: asyncio.Event, factor: float) -> None:
    await asyncio.sleep(_LEAST_SECONDS * factor)
    try:
        async with asyncio.timeout(_LOOK_SECONDS * factor):
            await changed.wait()
    except TimeoutError:
        return


def _mark(fragment: str) -> str:
    return hashlib.sha256(fragment.encode()).hexdigest()[:16]


def _message(fragment: str, mark: str) -> str:
    lines = "".join(f"data: {line}\n" for line in fragment.splitlines())
    return f"id: {mark}\n{lines}\n"
