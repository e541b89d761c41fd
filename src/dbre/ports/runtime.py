"""What a command may ask of the composition root."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, cast

import typer

if TYPE_CHECKING:  # every command imports this module for its help, and these cost a second of CPU
    from dbre.core.clock import Clock
    from dbre.core.config import Config, Section
    from dbre.core.fleet import Fleet
    from dbre.core.store import Store
    from dbre.ports.engine import EngineRegistry

__all__ = ["Runtime", "runtime"]


class Runtime(Protocol):
    """The wired parts of this process; ``dbre.app`` builds it. Configuration is read at the first use."""

    @property
    def clock(self) -> "Clock":
        """The clock of the machine, or a test's."""
        ...

    def sections(self) -> "Sequence[Section[Any]]":
        """Every section that ``dbre.yaml`` may have; known without reading any file."""
        ...

    @property
    def config(self) -> "Config":
        """The validated configuration. Raises: ConfigInvalid with every problem at once."""
        ...

    @property
    def fleet(self) -> "Fleet":
        """The inventory from the configuration."""
        ...

    @property
    def engines(self) -> "EngineRegistry":
        """The engines that this installation knows."""
        ...

    def open_store(self, *, exclusive: bool = False) -> "AbstractAsyncContextManager[Store]":
        """The state store; ``exclusive`` is for the control plane, which also migrates it."""
        ...

    async def serve(self) -> None:
        """Run the control plane until it is told to stop."""
        ...


def runtime(context: typer.Context) -> Runtime:
    """The runtime that the root command put into the context."""
    return cast(Runtime, context.obj)
