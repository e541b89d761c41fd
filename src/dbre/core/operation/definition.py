"""An operation is a class: it plans, and each step that its plans name has a handler that does, probes and is undone."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from dbre.core.errors import UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.text import closest, quoted

__all__ = ["Handler", "NotHappened", "Operation", "OperationRegistry", "OutcomeUnknown", "Tunable", "Verification", "step"]

Input = TypeVar("Input", bound=BaseModel)
Work = Callable[[Any, StepContext], Awaitable[Mapping[str, Any] | None]]
"""Does, probes or undoes a step; the mapping is its result: JSON that later steps, the undo and people read. No secrets."""


class NotHappened(Exception):
    """Raised by a probe: the step did not happen, so it can be run."""


class OutcomeUnknown(Exception):
    """Raised by a probe, or by a step itself: nobody can tell whether it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One thing that was looked at after the last step."""

    subject: str
    holds: bool
    detail: str  # what was seen, with numbers and units


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunable:
    """A value that ``dbre op set`` may change while the operation runs; ``parse`` raises UsageError for what does not fit."""

    default: Any
    parse: Callable[[str], Any]
    summary: str


class Handler:
    """One step's code. ``step`` makes it of a method; ``@name.probe`` adds what finds out whether it happened."""

    def __init__(self, work: Work, *, timeout_seconds: float, idempotent: bool, attempts: int) -> None:
        self.work = work
        self.name = work.__name__.strip("_").replace("_", "-")
        self.timeout_seconds = timeout_seconds
        self.idempotent = idempotent
        self.attempts = attempts
        self.look: Work | None = None
        self.__doc__ = work.__doc__

    def probe(self, look: Work) -> "Handler":
        """Register how to find out, after a crash, whether the step happened.

        ``look`` gives the step's result if it happened; raises ``NotHappened`` if not, ``OutcomeUnknown`` if it cannot tell.
        """
        self.look = look
        return self

    def __set_name__(self, owner: type, name: str) -> None:
        if name != "_":  # the conventional name of a probe, whose value is the handler again
            self.name = name.strip("_").replace("_", "-")


def step(*, timeout_seconds: float, idempotent: bool = False, attempts: int = 5) -> Callable[[Work], Handler]:
    """Make a method the handler of the steps of its name (``wait_replay`` handles ``wait-replay`` and ``wait-replay:pg2``).

    ``timeout_seconds`` limits the step with all its retries. ``idempotent`` says that running it twice does no harm: then an
    unknown outcome needs no probe. Only errors with ``retryable`` are tried again, ``attempts`` times in all.
    """

    def make(work: Work) -> Handler:
        return Handler(work, timeout_seconds=timeout_seconds, idempotent=idempotent, attempts=attempts)

    return make


class Operation(ABC, Generic[Input]):
    """Base of every durable act. An instance holds what the act needs (engines, fleet); it has no state of its own."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    document: ClassVar[type[BaseModel]]
    """What the input is validated with."""
    tunables: ClassVar[Mapping[str, Tunable]] = {}

    @abstractmethod
    async def plan(self, context: PlanContext, asked: Input) -> Plan:
        """Look, change nothing, and say what would be done. Raises: Refused where it should not be done at all."""

    async def verify(self, context: StepContext) -> Sequence[Verification]:  # noqa: ARG002 - for those that override it
        """See that the goal is reached; what does not hold makes the operation compensate. Default: nothing to see."""
        return ()

    def upgrade(self, planned: PlannedOperation) -> PlannedOperation | None:  # noqa: ARG002 - for those that override it
        """A stored plan of an older version in terms of this one; None: it cannot be carried on, and a person must decide."""
        return None

    @classmethod
    def handlers(cls) -> Mapping[str, Handler]:
        """Every handler by its name, those of base classes included."""
        found: dict[str, Handler] = {}
        for owner in reversed(cls.__mro__):
            found.update({one.name: one for one in vars(owner).values() if isinstance(one, Handler)})
        return found

    def missing(self, plan: Plan) -> tuple[str, ...]:
        """Names of handlers that the plan needs and this definition lacks; other code may have stored the plan."""
        wanted = {one.handler for one in plan.steps} | {one.undo for one in plan.steps if one.undo}
        return tuple(sorted(wanted - set(self.handlers())))


class OperationRegistry(Protocol):
    """The operations that this installation knows; ``app`` builds it."""

    def kinds(self) -> Sequence[str]:
        """Kinds in alphabetical order."""
        ...

    def get(self, kind: str) -> Operation[Any]:
        """The operation of that kind. Raises: UsageError with a did-you-mean."""
        ...


def unknown_kind(kind: str, known: Sequence[str]) -> UsageError:
    """The error of a registry that has no operation of that kind."""
    near = closest(kind, known)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known) or 'none'}"
    return UsageError(f"{quoted(kind, limit=100)} is not a kind of operation", hint=hint)
