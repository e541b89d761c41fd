"""Telling several people one message each."""

from collections.abc import Awaitable, Callable

from dbre.capabilities.incident.notice import Notice
from dbre.core.events import DeliveryRefused

__all__ = ["Roll"]


class Roll:
    """Remembers who has the notice that is being delivered: another attempt tells only the others."""

    def __init__(self) -> None:
        self._notice_id = ""
        self._told: set[str] = set()

    async def call(self, notice: Notice, tell: Callable[[str], Awaitable[object]]) -> None:
        """Tell each recipient; one whom the service refuses keeps nobody behind from it.

        Raises: the first DeliveryRefused once everybody else was told; anything else at once.
        """
        if notice.id != self._notice_id:
            self._notice_id, self._told = notice.id, set()
        refused: list[DeliveryRefused] = []
        for one in notice.recipients:
            if one in self._told:
                continue
            try:
                await tell(one)
            except DeliveryRefused as error:
                refused.append(error)
            else:
                self._told.add(one)
        if refused:
            raise refused[0]
