"""A small runtime for the commands of the inventory and of the configuration."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dbre.core.clock import SystemClock
from dbre.core.config import Config, Section, load
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.fleet_document import FLEET, build_fleet
from dbre.core.telemetry import TELEMETRY
from dbre.ports.engine import Engine

PORTS = {"postgresql": 5432, "mysql": 3306, "redis": 6379}


class Engines:
    """A registry with what a test puts into it."""

    def __init__(self, *engines: Engine) -> None:
        self._engines = {engine.name: engine for engine in engines}

    def names(self) -> Sequence[str]:
        return sorted(self._engines)

    def get(self, name: str) -> Engine:
        if name not in self._engines:
            raise UsageError(f"engine {name} is not here", hint="use another")
        return self._engines[name]


class SmallRuntime:
    """Configuration from one file, and the engines of a test."""

    def __init__(self, path: Path | None, *engines: Engine, environment: dict[str, str] | None = None) -> None:
        self.clock = SystemClock()
        self.engines = Engines(*engines)
        self._path = path
        self._environment = environment or {}

    def sections(self) -> Sequence[Section[Any]]:
        return (FLEET, TELEMETRY)

    @property
    def config(self) -> Config:
        files = [self._path] if self._path else []
        return load(files, sections=self.sections(), environment=self._environment, flags={})

    @property
    def fleet(self) -> Fleet:
        return build_fleet(self.config, default_ports=PORTS)


def context(runtime: SmallRuntime) -> Any:
    return SimpleNamespace(obj=runtime)
