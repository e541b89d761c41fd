"""What our login may do on one server, in the words of ``Feature.privilege``, remembered for a while."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from dbre.core.clock import Clock

__all__ = ["HeldPrivileges"]

_FRESH_SECONDS = 60.0
_NEW_SECONDS = 1.0
Connection = TypeVar("Connection")


class HeldPrivileges(Generic[Connection]):
    """Asks the server by ``read``, once a minute; what was missing is looked up again, since a grant may have come.

    ``base`` is what every login may do that came this far, and needs no asking.
    """

    def __init__(self, read: Callable[[Connection], Awaitable[frozenset[str]]], *, base: str, clock: Clock) -> None:
        self._read = read
        self._base = base
        self._clock = clock
        self._held: frozenset[str] = frozenset()
        self._fresh_until = 0.0
        self._new_until = 0.0

    def told(self, held: frozenset[str]) -> None:
        """What a session that has just begun was told anyway: the first question after it need not be asked once more."""
        self._held = held
        self._fresh_until = self._clock.monotonic() + _FRESH_SECONDS
        self._new_until = self._clock.monotonic() + _NEW_SECONDS

    async def now(self, connection: Connection) -> frozenset[str]:
        """All of them, asked anew."""
        self._held = await self._read(connection)
        self._fresh_until = self._clock.monotonic() + _FRESH_SECONDS
        return self._held

    async def include(self, privilege: str, connection: Connection) -> bool:
        """Whether our login holds a privilege."""
        if privilege == self._base:
            return True
        if self._clock.monotonic() < self._fresh_until and privilege in self._held:
            return True
        is_new, self._new_until = self._clock.monotonic() < self._new_until, 0.0
        if is_new:
            return False
        return privilege in await self.now(connection)
