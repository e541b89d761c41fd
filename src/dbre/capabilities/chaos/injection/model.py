"""What a fault is: four answers about one target, asked by the process that holds it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from dbre.core.errors import DbreError, ExitCode
from dbre.core.fleet import Address
from dbre.ports.engine import Access, EngineRegistry
from dbre.ports.mischief import Deed

__all__ = [
    "Fault",
    "FaultKind",
    "InjectionFailed",
    "InjectionRefused",
    "NotReverted",
    "Parameters",
    "Phase",
    "Scene",
    "Sighting",
]


class InjectionFailed(DbreError):
    """A fault did not come about; whatever had begun of it was taken back."""

    code = "chaos.injection_failed"


class InjectionRefused(InjectionFailed):
    """A fault looked at its target and did not begin."""

    code = "chaos.refused"
    exit_code = ExitCode.REFUSED


class NotReverted(DbreError):
    """A fault is still there after the time in which it should have gone; its process goes on trying."""

    code = "chaos.not_reverted"
    exit_code = ExitCode.NEEDS_OPERATOR


class Phase(StrEnum):
    """How far a fault is; what its state file says."""

    ARMED = "armed"  # the inverse is on disk, and the act may have begun
    ON = "on"  # seen to be on
    REVERTED = "reverted"  # seen to be gone
    FAILED = "failed"  # never came about, and nothing of it is there


class Parameters(BaseModel):
    """Base of what a fault is asked: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def starts_server(self) -> bool:
        """Whether undoing it starts the server with its old words, as a primary where it was one."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where one fault happens."""

    id: str  # tags everything that the fault makes
    cluster: str
    instance: str
    engine: str
    access: Access
    engines: EngineRegistry
    parameters: Any  # as the fault's own document has validated them
    seconds: float  # how long it may stay
    peers: Mapping[str, Address] = field(default_factory=dict)  # the other instances of the cluster, by name


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen when somebody looked whether a fault is on."""

    is_on: bool
    detail: str  # with numbers and units


class Fault(ABC):
    """One fault on one target. ``end`` can be called at any time, and again; it must not need what a crash takes away."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @abstractmethod
    async def prepare(self) -> Mapping[str, Any]:
        """Look, change nothing, and give all that ``end`` will need, as JSON. Raises: PrecheckFailed, UsageError."""

    @abstractmethod
    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do it; gives the inverse, with what became known meanwhile."""

    @abstractmethod
    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """See whether it is on, by something else than having done it."""

    @abstractmethod
    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Take it back. Idempotent."""

    async def tend(self, inverse: Mapping[str, Any]) -> None:  # noqa: B027 - most faults keep no limit
        """Called each second while it is on, for faults that keep a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One entry of the catalogue."""

    name: str
    summary: str
    privilege: str  # what the login, or this process, needs
    proof: str  # how it is seen to be on, and off
    undo: str
    parameters: type[Parameters]
    make: Callable[[Scene], Fault]
    deed: Deed | None = None  # what of the engine it asks for; None: nothing
    is_local: bool = False  # the injector must run on the server's machine
    is_outage: bool = False  # the instance answers nobody meanwhile
    outage_when: Callable[[Mapping[str, Any]], bool] | None = None  # where that is a matter of its parameters

    def takes_away(self, parameters: Mapping[str, Any]) -> bool:
        """Whether with these parameters, as they were written, the instance answers nobody meanwhile."""
        return self.outage_when(parameters) if self.outage_when is not None else self.is_outage
