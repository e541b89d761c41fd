"""What the keeper of the log tells: each thing once while it lasts, as an event and as a line of the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.events import EventLog, recent
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["LASTING", "LogNews", "Trouble", "lasting_troubles"]

LASTING = (
    "backup.log_stopped",
    "backup.log_not_vaulted",
    "backup.log_at_risk",
    "backup.spool_full",
    "backup.log_received_by_another",
    "backup.log_not_scanned",
    "backup.log_not_ended",
    "backup.log_not_retired",
    "backup.log_of_two_primaries",
    "backup.next_full_not_asked",
)
"""Kinds of event that are followed by one with ``_ended``."""

_ENDED = "_ended"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong and was not told to be well again."""

    kind: str
    code: str
    message: str
    hint: str | None
    since: datetime


async def lasting_troubles(connection: AsyncConnection, cluster: str) -> Sequence[Trouble]:
    """What the keeper of a cluster's log told last, and did not tell to be well again."""
    subject, found = _subject(cluster), []
    for kind in LASTING:
        told = await recent(connection, limit=1, kind=kind, subject=subject)
        ended = await recent(connection, limit=1, kind=kind + _ENDED, subject=subject)
        if told and (not ended or ended[0].sequence < told[0].sequence):
            data = told[0].data
            found.append(
                Trouble(
                    kind=kind,
                    code=str(data.get("code", "")),
                    message=str(data.get("message", "")),
                    hint=None if data.get("hint") is None else str(data["hint"]),
                    since=told[0].at,
                )
            )
    return found


class LogNews:
    """Events of the log of one cluster. What lasted when the process before ended is not told anew by this one."""

    def __init__(self, store: Store, clock: Clock, cluster: str) -> None:
        self._store = store
        self._events = EventLog(clock)
        self._cluster = cluster
        self._lasting: dict[str, set[str]] | None = None  # codes that were told, by kind; None: not looked up yet

    async def tell(self, kind: str, message: str, **data: object) -> None:
        """Something happened."""
        shown: Mapping[str, object] = {"cluster": self._cluster, "message": printable(message), **data}
        _log.warning(kind.replace(".", "_"), **shown)
        async with self._store.begin() as connection:
            await self._events.emit(connection, kind=kind, subject=_subject(self._cluster), data=shown)

    async def trouble(self, kind: str, error: DbreError, *, about: str | None = None, **data: object) -> None:
        """Something is wrong and goes on being wrong: told once, and again when it is wrong in a way that is new.

        ``about``: each thing of that name is told of its own.
        """
        told, way = (await self._known()).setdefault(kind, set()), error.code if about is None else f"{error.code} {about}"
        if way not in told:
            told.add(way)
            await self.tell(kind, error.message, hint=error.hint, code=error.code, **data)

    async def well(self, kind: str) -> None:
        """What was wrong is well again."""
        if (await self._known()).pop(kind, None) is not None:
            await self.tell(f"{kind}{_ENDED}", "it is well again")

    async def _known(self) -> dict[str, set[str]]:
        if self._lasting is None:
            async with self._store.read() as connection:
                found = await lasting_troubles(connection, self._cluster)
            if self._lasting is None:  # another task may have been faster
                self._lasting = {one.kind: {one.code} for one in found}
        return self._lasting


def _subject(cluster: str) -> str:
    return f"cluster/{cluster}"
