"""A backup that pgBackRest makes, watched through what ``info`` says of the running one (2.48 and later tell bytes)."""

import asyncio
from collections.abc import Awaitable, Callable

from dbre.core.errors import Unsupported
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyKind
from dbre.tools.call import Ended
from dbre.tools.pgbackrest.information import Stanza

__all__ = ["backup_type", "watch_backup"]

_EVERY_SECONDS = 5.0
_TYPES = {CopyKind.FULL: "full", CopyKind.INCREMENTAL: "incr", CopyKind.DIFFERENTIAL: "diff"}


def backup_type(kind: CopyKind) -> str:
    """What pgBackRest calls a kind of copy. Raises: Unsupported."""
    if kind not in _TYPES:
        raise Unsupported(
            f"pgBackRest makes no {kind} copies", hint=f"it makes {', '.join(_TYPES)} copies", context={"kind": kind.value}
        )
    return _TYPES[kind]


async def watch_backup(running: "asyncio.Future[Ended]", look: Callable[[], Awaitable[Stanza]], progress: CopyProgress) -> None:
    """Tell the progress until the backup ends; where telling raises, the backup is ended too."""
    try:
        while True:
            done, _ = await asyncio.wait({running}, timeout=_EVERY_SECONDS)
            if done:
                running.result()
                return
            told = (await look()).progress
            await progress(*(told or (0, None)))
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
