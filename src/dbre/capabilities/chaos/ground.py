"""What experiments stand on; the composition root builds it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["Burn", "ChaosGround", "SloLook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One objective on one cluster at one moment."""

    rate: float | None  # over the shortest window of its alert rules; None: not known
    is_paging: bool | None  # None: not known


SloLook = Callable[[str, str], Awaitable[Burn]]
"""Reads an SLO (by name) on a cluster (by name). Raises: UsageError for unknown names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosGround:
    """What experiments stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    directory: Path  # of the state files of faults, 0700; the same for every process of this machine
    program: tuple[str, ...]  # starts an injector
    slo: SloLook | None = None  # None: nothing can be watched here
