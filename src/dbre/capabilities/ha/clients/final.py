"""What is there when all is over: read from whoever takes writes then, and written down as the last acts of the history."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.ha.clients.acts import final_acts, keys_of
from dbre.capabilities.ha.clients.journal import Journal
from dbre.capabilities.ha.clients.reach import Reach
from dbre.capabilities.ha.clients.records import ClientAct
from dbre.capabilities.ha.clients.spec import ProbeSpec
from dbre.capabilities.ha.clients.truth import FINAL
from dbre.core.errors import DbreError
from dbre.ports.client_work import ClientWork

__all__ = ["read_final"]

_AGAIN_SECONDS = 0.25
_NUMBER = 1000  # of the client in the run: its processes are no other client's


async def read_final(
    acts: Sequence[ClientAct], *, spec: ProbeSpec, run: str, reach: Reach, file: Path, origin_ns: int
) -> list[str]:
    """Read all that the run wrote; gives why that could not be done, if it could not. It is tried until it settles."""
    keys = sorted({key for act in acts for key in keys_of(act.f, act.asked)})
    journal = Journal(str(file), client=_NUMBER, name=FINAL, origin_ns=origin_ns)
    end = time.monotonic() + spec.settle_seconds
    reason, done = "", 0
    todo = list(final_acts(spec.workload, keys))
    try:
        while done < len(todo):
            try:
                done = await _read(journal, reach, todo, done, spec, run)
            except DbreError as error:
                reason = error.message
                if time.monotonic() >= end:
                    return [f"what is there in the end could not be read: {reason}"]
                await asyncio.sleep(_AGAIN_SECONDS)
    finally:
        journal.close()
    return []


async def _read(
    journal: Journal, reach: Reach, todo: Sequence[tuple[str, object]], done: int, spec: ProbeSpec, run: str
) -> int:
    """Go on with what is to be read over one session."""
    connection = await reach.connect()
    try:
        for place in range(done, len(todo)):
            f, value = todo[place]
            work = ClientWork(run=run, workload=spec.workload, f=f, value=value, isolation=spec.isolation)
            due = time.monotonic_ns()
            process = journal.begin(f, value, sequence=place, due_ns=due)
            try:
                reply = await connection.do(work)
            except BaseException:
                journal.end("fail", process, f, value, sequence=place)
                raise
            journal.end("ok", process, f, reply.value, sequence=place, node=reply.node, position=reply.position)
    finally:
        connection.abort()
    return len(todo)
