"""A server that was made of a dump, closed to writes until it is promoted.

A hot standby would be closed more tightly, but the recovery in which it begins empties unlogged tables, which a dump holds.
"""

import asyncio

from dbre.engines.postgres.backup.asking import asking
from dbre.ports.backup.errors import RecoveryFailed
from dbre.ports.engine import Access

__all__ = ["set_closed"]

_SECONDS = 60.0
_POLL_SECONDS = 0.05


async def set_closed(access: Access, is_closed: bool) -> None:
    """Make every new session read-only, or no longer; returns once a new one is. Raises: RecoveryFailed, Unreachable."""
    async with asking(access, what="load") as questions:
        await questions.rows("dump_close" if is_closed else "dump_open")
        await questions.rows("dump_reload")
    try:
        async with asyncio.timeout(_SECONDS):
            while True:  # each question in a session of its own: only new ones show what new ones get
                async with asking(access, what="load") as questions:
                    if (await questions.row("dump_is_closed")).is_closed == is_closed:
                        return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        told = "closed to writes" if is_closed else "opened for writes"
        raise RecoveryFailed(f"the server that was made of a dump was not {told} within {_SECONDS:.0f} s") from error
