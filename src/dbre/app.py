"""The composition root: the only module that knows which engines, sections and capabilities exist."""

import importlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dbre.cli import root
from dbre.core.clock import Clock, SystemClock
from dbre.core.errors import Unsupported, UsageError
from dbre.core.text import closest

if TYPE_CHECKING:  # imported at run time only by the commands that need them
    from dbre.core.config import Config, Section
    from dbre.core.fleet import Fleet
    from dbre.core.store import Store
    from dbre.core.telemetry import LogLevel
    from dbre.ports.engine import Engine, EngineRegistry

__all__ = ["Application", "Engines", "main"]


@dataclass(frozen=True, slots=True)
class _EngineEntry:
    module: str
    name: str  # of the engine class
    extra: str | None  # the extra that installs its driver; None: part of the base install
    default_port: int  # known without the driver, so that any command can read any inventory


_ENGINES = {
    "mysql": _EngineEntry("dbre.engines.mysql", "MySqlEngine", "mysql", 3306),
    "postgresql": _EngineEntry("dbre.engines.postgres", "PostgresEngine", None, 5432),
    "redis": _EngineEntry("dbre.engines.redis", "RedisEngine", "redis", 6379),
}


def main() -> int:
    """Run the command line of this process; what ``dbre`` and ``python -m dbre`` call."""
    return root.main(Application)


def sections() -> "Sequence[Section[Any]]":
    """Every section that ``dbre.yaml`` may have, in the order in which documentation lists them."""
    from dbre.capabilities.incident import RECEIVERS
    from dbre.capabilities.observe import EXPORTER, PROBE
    from dbre.capabilities.slo import ALERTING, SLOS
    from dbre.core.fleet_document import FLEET
    from dbre.core.store.document import STATE
    from dbre.core.telemetry import TELEMETRY
    from dbre.web.document import SERVER

    return (FLEET, PROBE, EXPORTER, SLOS, ALERTING, RECEIVERS, STATE, SERVER, TELEMETRY)


class Engines:
    """The engines of this installation; a driver is imported when its engine is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Engine] = {}

    def names(self) -> Sequence[str]:
        """Names in alphabetical order, installed or not."""
        return sorted(_ENGINES)

    def get(self, name: str) -> "Engine":
        """The engine of that name. Raises: UsageError if unknown, Unsupported if its driver is not installed."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> "Engine":
        entry = _ENGINES.get(name)
        if entry is None:
            near = closest(name, list(_ENGINES))
            hint = f"did you mean {near}?" if near else f"known: {', '.join(self.names())}"
            raise UsageError(f"{name!r} is not an engine", hint=hint)
        try:
            module = importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            if entry.extra is None or (error.name or "").startswith("dbre"):
                raise
            raise Unsupported(
                f"engine {name} needs the Python package {error.name}, which is not installed",
                hint=f"pip install 'dbre[{entry.extra}]'",
            ) from error
        return cast("Engine", getattr(module, entry.name)())


class Application:
    """What commands find in their context (``ports.runtime.Runtime``); every part is built at its first use."""

    def __init__(self, options: root.GlobalOptions) -> None:
        self._options = options
        self.clock: Clock = SystemClock()
        self.engines: EngineRegistry = Engines()
        self.sections = sections

    @property
    def asked_log_level(self) -> "LogLevel | None":
        """What ``-v`` or ``-vv`` ask for; None where neither was given."""
        from dbre.core.telemetry import LogLevel

        return (None, LogLevel.INFO, LogLevel.DEBUG)[min(self._options.verbosity, 2)]

    @cached_property
    def config(self) -> "Config":
        """The validated configuration. Raises: ConfigInvalid with every problem at once."""
        from dbre.core.config import load
        from dbre.core.config.locate import find_files
        from dbre.core.telemetry import LogLevel, configure_logging

        configure_logging(self.asked_log_level or LogLevel.WARNING)
        try:
            files = find_files(self._options.config_files, environment=os.environ, directory=Path.cwd())
        except FileNotFoundError as error:
            raise UsageError("the working directory does not exist any more", hint="change to one that does") from error
        return load(files, sections=sections(), environment=os.environ, flags=dict(self._options.overrides))

    @cached_property
    def fleet(self) -> "Fleet":
        """The inventory from the configuration."""
        from dbre.core.fleet_document import build_fleet

        return build_fleet(self.config, default_ports={name: entry.default_port for name, entry in _ENGINES.items()})

    @asynccontextmanager
    async def open_store(self, *, exclusive: bool = False) -> "AsyncIterator[Store]":
        """The state store; ``exclusive`` is for the control plane, which also migrates it."""
        from dbre.core.secrets import prepare_secrets
        from dbre.core.store import STATE, open_store

        state = self.config.get(STATE)
        directory = self.config.directory_of("state.url")
        password = state.password.secret() if state.password else None  # read anew where it changes while the store is open
        await prepare_secrets([password])
        async with open_store(
            state.url, clock=self.clock, exclusive=exclusive, migrate=exclusive, password=password, directory=directory
        ) as store:
            yield store

    async def serve(self) -> None:
        """Run the control plane until it is told to stop."""
        from dbre.control_plane import ControlPlane

        await ControlPlane(self).run()
