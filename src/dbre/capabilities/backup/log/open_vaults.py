"""The vaults of one policy, opened when first needed and opened again after a failure."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from dbre.capabilities.backup.log.places import LogVault

__all__ = ["OpenVaults", "VaultOpener"]

VaultOpener = Callable[[], AbstractAsyncContextManager[Sequence[LogVault]]]


class OpenVaults:
    """Holds them between uses; ``reset`` after a failure."""

    def __init__(self, opener: VaultOpener) -> None:
        self._opener = opener
        self._stack: AsyncExitStack | None = None
        self._vaults: tuple[LogVault, ...] = ()

    async def get(self) -> tuple[LogVault, ...]:
        """The vaults. Raises: what opening them raises."""
        if self._stack is None:
            async with AsyncExitStack() as opening:
                self._vaults = tuple(await opening.enter_async_context(self._opener()))
                self._stack = opening.pop_all()
        return self._vaults

    async def reset(self) -> None:
        """Close them; the next ``get`` opens them again."""
        stack, self._stack, self._vaults = self._stack, None, ()
        if stack is not None:
            await stack.aclose()
