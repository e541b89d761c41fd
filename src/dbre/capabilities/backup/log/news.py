"""What the keeper of the log tells: each thing once while it lasts, as an event and as a line of the log."""

from collections.abc import Mapping

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.events import EventLog
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["LogNews"]

_log = structlog.get_logger(__name__)


class LogNews:
    """Events of the log of one cluster."""

    def __init__(self, store: Store, clock: Clock, cluster: str) -> None:
        self._store = store
        self._events = EventLog(clock)
        self._cluster = cluster
        self._lasting: dict[str, str] = {}

    async def tell(self, kind: str, message: str, **data: object) -> None:
        """Something happened."""
        shown: Mapping[str, object] = {"cluster": self._cluster, "message": printable(message), **data}
        _log.warning(kind.replace(".", "_"), **shown)
        async with self._store.begin() as connection:
            await self._events.emit(connection, kind=kind, subject=f"cluster/{self._cluster}", data=shown)

    async def trouble(self, kind: str, error: DbreError, **data: object) -> None:
        """Something is wrong and goes on being wrong: told once, and again when it is wrong in another way."""
        if self._lasting.get(kind) != error.code:
            self._lasting[kind] = error.code
            await self.tell(kind, error.message, hint=error.hint, code=error.code, **data)

    async def well(self, kind: str) -> None:
        """What was wrong is well again."""
        if self._lasting.pop(kind, None) is not None:
            await self.tell(f"{kind}_ended", "it is well again")

    def lasting(self) -> Mapping[str, str]:
        """What is wrong now: kinds of event with codes of errors."""
        return dict(self._lasting)
