"""What a command may ask of the composition root."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, cast

import typer

if TYPE_CHECKING:  # every command imports this module for its help, and these cost a second of CPU
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.chaos.ground import ChaosGround
    from dbre.capabilities.ha.clients.ground import ClientGround
    from dbre.capabilities.incident.impact import ImpactSource
    from dbre.capabilities.upgrade.ground import UpgradeGround
    from dbre.core.clock import Clock
    from dbre.core.config import Config, Section
    from dbre.core.fleet import Fleet
    from dbre.core.gates.asking import Gates
    from dbre.core.identity.model import Principal
    from dbre.core.operation.definition import OperationRegistry
    from dbre.core.operation.desk import OperationDesk
    from dbre.core.operation.http_desk import HttpDesk
    from dbre.core.store import Store
    from dbre.ports.engine import EngineRegistry
    from dbre.ports.report_sources import ReportSources

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
        """The inventory from the configuration. Raises: UsageError where commands talk to a control plane elsewhere."""
        ...

    @property
    def engines(self) -> "EngineRegistry":
        """The engines that this installation knows."""
        ...

    def open_store(self, *, exclusive: bool = False) -> "AbstractAsyncContextManager[Store]":
        """The state store; ``exclusive`` is for the control plane, which also migrates it.

        Raises: UsageError where commands talk to a control plane elsewhere.
        """
        ...

    @property
    def operations(self) -> "OperationRegistry":
        """The kinds of operation that this installation knows."""
        ...

    async def principal(self) -> "Principal":
        """Who runs this command. Raises: Denied where identities are configured and the token is missing or wrong."""
        ...

    def gates(self, store: "Store") -> "Gates":
        """The gates of this installation, reading from ``store``."""
        ...

    def impact(self, store: "Store") -> "ImpactSource":
        """What incidents did to users, measured from the stored slots."""
        ...

    def backups(self, store: "Store | None") -> "BackupGround":
        """What backups stand on; without ``store`` only vaults can be read."""
        ...

    def chaos(self, store: "Store") -> "ChaosGround":
        """What experiments stand on, with what the state store knows of budgets, incidents and backups."""
        ...

    @property
    def clients(self) -> "ClientGround":
        """What probe clients stand on, and the checkers that judge them."""
        ...

    @property
    def upgrades(self) -> "UpgradeGround":
        """What rolling restarts and upgrades stand on."""
        ...

    def report_sources(self, store: "Store") -> "ReportSources":
        """What reports are made of, reading from ``store``."""
        ...

    def open_desk(self) -> "AbstractAsyncContextManager[OperationDesk]":
        """Operations, for the user of this command: in the state store, or through a control plane's API."""
        ...

    def open_remote(self) -> "AbstractAsyncContextManager[HttpDesk | None]":
        """The control plane that commands talk to; None: they read the state store of this machine."""
        ...

    async def work(self, *, zone: str | None, concurrency: int | None) -> None:
        """Run operations of a zone until told to stop, beside a control plane."""
        ...

    async def serve(self) -> None:
        """Run the control plane until it is told to stop."""
        ...


def runtime(context: typer.Context) -> Runtime:
    """The runtime that the root command put into the context."""
    return cast(Runtime, context.obj)
