"""The time in which faults are on: watched four times a second, and ended at the first reason."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dbre.capabilities.chaos.breaches import LOOK_SECONDS, Breach, Budgets, bereft, held, probed, switched
from dbre.capabilities.chaos.documents import Experiment, FaultOrder, When
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.model import InjectionFailed, InjectionRefused, NotReverted
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import new_fault_id
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.capabilities.chaos.probing import Tally
from dbre.core.errors import DbreError, ExitCode
from dbre.core.operation.context import StepContext
from dbre.core.text import printable
from dbre.core.units import format_duration

__all__ = ["ExperimentAborted", "Watch"]

_REVERT_SECONDS = 60.0
_FAREWELL_SECONDS = 20.0  # whoever ends us waits no longer than 30 s


class ExperimentAborted(DbreError):
    """Something was worse than the experiment allows: every fault was taken back."""

    code = "chaos.aborted"
    exit_code = ExitCode.COMPENSATED

    def __init__(self, message: str, *, is_finding: bool) -> None:
        super().__init__(message, hint="every fault was taken back", context={"is_finding": is_finding})
        self.is_finding = is_finding  # about the cluster; else somebody wanted an end


class Watch:
    """All faults of one experiment while they come, are on, and go."""

    def __init__(
        self,
        ground: ChaosGround,
        experiment: Experiment,
        context: StepContext,
        *,
        first_is_on: Callable[[], None] | None = None,
    ) -> None:
        self._first_is_on = first_is_on
        self._ground, self._experiment, self._context = ground, experiment, context
        self._clock = ground.clock
        self._began = self._clock.monotonic()
        self._budgets = Budgets(ground, experiment)
        self._bereft: dict[str, str] = {}  # observers that miss the primary, and since when
        self._moments: dict[str, dict[str, str]] = {}  # of each fault, by its id
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiting = sorted(experiment.faults, key=lambda one: one.start_seconds)
        self.revert_seconds: float | None = None  # from the first reason until every fault was seen to be gone
        self.reason: str | None = None
        self.tallies = [Tally(probe) for probe in experiment.hypothesis if When.DURING in probe.when]
        self.injections: list[Injection] = []

    async def run(self) -> dict[str, Any]:
        """Begin each fault at its time and see the last one go. Raises: ExperimentAborted, InjectionFailed, NotReverted."""
        for watcher in (
            held(self._context),
            switched(self._ground),
            self._budgets.watch(),
            bereft(self._ground, self._experiment.cluster, self._bereft),
            *(probed(self._ground, self._experiment, one) for one in self.tallies),
        ):
            self._start(watcher)
        breached: float | None = None
        try:
            await self._through()
        except BaseException as error:
            breached = self._clock.monotonic()
            self.reason = error.message if isinstance(error, DbreError) else "it was ended from outside"
            raise
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await self._see_the_end()
            finally:
                if breached is not None:
                    self.revert_seconds = self._clock.monotonic() - breached
        return self.document()

    def document(self) -> dict[str, Any]:
        """What became of the faults, and what the probes found."""
        faults = [
            {
                "id": one.order.id,
                "fault": one.order.fault,
                "instance": one.order.instance,
                "is_reverted": one.is_reverted,
                "detail": one.detail,
                "why": one.why,
                **self._moments.get(one.order.id, {}),
            }
            for one in self.injections
        ]
        found: dict[str, Any] = {"faults": faults, "during": [one.document() for one in self.tallies]}
        if self._budgets.paged:
            found["paged"] = dict(self._budgets.paged)
        if self._bereft:
            found["bereft"] = dict(self._bereft)
        if self.reason is not None:
            found |= {"reason": printable(self.reason, limit=1000), "revert_seconds": self.revert_seconds}
        return found

    @property
    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _through(self) -> None:
        """Raises: ExperimentAborted at the first reason; CancelledError where the operation is to end."""
        total = self._experiment.seconds
        while self._waiting or self._is_beginning or not all(one.has_ended for one in self.injections):
            if self._waiting and self._elapsed >= self._waiting[0].start_seconds:
                self._start(self._begin(self._waiting.pop(0)))
            await asyncio.wait(self._tasks, timeout=self._pause(), return_when=asyncio.FIRST_COMPLETED)
            for task in [one for one in self._tasks if one.done()]:
                self._tasks.discard(task)
                if task.cancelled():
                    raise asyncio.CancelledError("the operation is to end")
                if isinstance(breach := task.result(), Breach):
                    words = f"after {format_duration(self._elapsed)}: {breach.reason}"
                    raise ExperimentAborted(words, is_finding=breach.is_finding)
            await self._look_at_injectors()
            await self._context.progress(min(self._elapsed, total), total, "seconds")

    @property
    def _is_beginning(self) -> bool:
        return any(not one.is_on and not one.has_ended for one in self.injections) or self._started > len(self.injections)

    @property
    def _started(self) -> int:
        return len(self._experiment.faults) - len(self._waiting)

    def _pause(self) -> float:
        until_next = self._waiting[0].start_seconds - self._elapsed if self._waiting else LOOK_SECONDS
        return min(LOOK_SECONDS, max(until_next, 0.0))

    async def _begin(self, asked: FaultOrder) -> None:
        cluster = self._ground.fleet.cluster(self._experiment.cluster)
        order = Order.on(
            cluster,
            self._ground.fleet.instance(asked.instance),
            id=new_fault_id(),
            operation=str(self._context.token.operation_id),
            fault=asked.fault,
            parameters=asked.parameters,
            seconds=asked.lasts.total_seconds(),
            directory=str(self._ground.directory),
        )
        injection = await Injection.start(self._ground.program, order)
        self.injections.append(injection)
        if self._first_is_on is not None:
            self._first_is_on()
            self._first_is_on = None
        try:
            await injection.wait_until_on()
        except InjectionRefused as error:
            if any(one.is_on for one in self.injections):  # something was begun: it is no refusal of the whole
                raise InjectionFailed(error.message, hint=error.hint) from error
            raise
        self._moments[order.id] = {"on_at": self._clock.now().isoformat()}
        await self._context.note(f"{asked.fault} on {asked.instance} is on: {printable(injection.detail)}")

    async def _see_the_end(self) -> None:
        """However often we are told to end meanwhile: a fault that is nearly gone is seen to be."""
        ending = asyncio.create_task(self._end_all())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending}, timeout=_FAREWELL_SECONDS)
            ending.cancel()
            raise

    async def _end_all(self) -> None:
        """All at once; an error of one keeps no other from its end."""
        ended = await asyncio.gather(*(self._end(one) for one in self.injections), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one

    async def _end(self, one: Injection) -> None:
        await one.end(limit_seconds=_REVERT_SECONDS)
        self._moments.setdefault(one.order.id, {}).setdefault("off_at", self._clock.now().isoformat())

    async def _look_at_injectors(self) -> None:
        for one in self.injections:
            if one.has_ended and one.is_reverted:
                self._moments.setdefault(one.order.id, {}).setdefault("off_at", self._clock.now().isoformat())
            if one.is_silent:
                await one.kill()  # its state file is what heals
                raise NotReverted(
                    f"the injector of {one.order.fault} on {one.order.instance} does not answer, and was killed",
                    hint="dbre chaos heal",
                )
