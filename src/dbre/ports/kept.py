"""What a command that repeats itself (``--watch``) opens once, and uses again each time."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol, TypeVar, cast

__all__ = ["Kept", "keep", "kept"]

_KEY = "dbre.kept"

Thing = TypeVar("Thing")


class Context(Protocol):
    """What is needed of a command's context."""

    @property
    def meta(self) -> dict[str, Any]:
        """What those who run a command keep beside it."""
        ...


class Kept:
    """Opened things by name; whoever runs the command closes them after its last time."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._things: dict[str, Any] = {}

    async def use(self, name: str, make: Callable[[], AbstractAsyncContextManager[Thing]]) -> Thing:
        """The thing of that name, opened by the first who asks."""
        if name not in self._things:
            self._things[name] = await self._stack.enter_async_context(make())
        return cast(Thing, self._things[name])

    async def aclose(self) -> None:
        """Close everything, the newest first."""
        self._things.clear()
        await self._stack.aclose()


def keep(context: Context) -> Kept:
    """For whoever runs a command: what it finds in its context, and has to be closed afterwards."""
    return cast(Kept, context.meta.setdefault(_KEY, Kept()))


def kept(context: Context) -> Kept | None:
    """What this command keeps open from one time to the next; None: nobody would close it."""
    return cast("Kept | None", context.meta.get(_KEY))
