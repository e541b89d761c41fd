"""The time in which faults are on: watched four times a second, and ended at the first reason."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from dbre.capabilities.chaos.documents import Experiment, FaultOrder, When
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.model import NotReverted
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import new_fault_id
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.capabilities.chaos.probing import Tally, ask
from dbre.core.errors import DbreError, ExitCode
from dbre.core.operation.context import StepContext
from dbre.core.text import printable
from dbre.core.units import format_duration

__all__ = ["ExperimentAborted", "Watch"]

_LOOK_SECONDS = 0.25
_PROBE_SECONDS = 1.0
_BLIND_SECONDS = 60.0  # how long an objective that ends the experiment may be unknown
_REVERT_SECONDS = 60.0
_HELD_SECONDS = 0.5  # a checkpoint that takes longer waits: for a gate, or because the operation is paused
_IN_A_ROW = 3


class ExperimentAborted(DbreError):
    """Something was worse than the experiment allows: every fault was taken back."""

    code = "chaos.aborted"
    exit_code = ExitCode.COMPENSATED


class Watch:
    """All faults of one experiment while they come, are on, and go."""

    def __init__(self, ground: ChaosGround, experiment: Experiment, context: StepContext) -> None:
        self._ground, self._experiment, self._context = ground, experiment, context
        self._clock = ground.clock
        self._began = self._clock.monotonic()
        self._known: dict[str, float] = {}
        self.tallies = [Tally(probe) for probe in experiment.hypothesis if When.DURING in probe.when]
        self.injections: list[Injection] = []

    async def run(self) -> dict[str, Any]:
        """Begin each fault at its time and see the last one go. Raises: ExperimentAborted, InjectionFailed, NotReverted."""
        waiting = sorted(self._experiment.faults, key=lambda one: one.start_seconds)
        probes = [asyncio.create_task(self._probe(tally)) for tally in self.tallies]
        try:
            while waiting or not all(one.has_ended for one in self.injections):
                await self._look()
                if waiting and self._elapsed >= waiting[0].start_seconds:
                    await self._begin(waiting.pop(0))
                else:
                    await self._clock.sleep(_LOOK_SECONDS)
        finally:
            for task in probes:
                task.cancel()
            await asyncio.gather(*probes, return_exceptions=True)
            await self._end_all()
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
            }
            for one in self.injections
        ]
        return {"faults": faults, "during": [one.document() for one in self.tallies]}

    @property
    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

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
        await injection.wait_until_on()
        await self._context.note(f"{asked.fault} on {asked.instance} is on: {printable(injection.detail)}")

    async def _end_all(self) -> None:
        async with AsyncExitStack() as stack:  # each one's end, whatever becomes of the others'
            for one in self.injections:
                stack.push_async_callback(one.end, limit_seconds=_REVERT_SECONDS)

    async def _look(self) -> None:
        """Raises: ExperimentAborted at the first reason; CancelledError where the operation is to end."""
        total = self._experiment.seconds
        await self._context.progress(min(self._elapsed, total), total, "seconds")
        reason = await self._held() or self._failing() or await self._burning()
        if reason is None:
            reason = await self._silent(self.injections)
        if reason is not None:
            raise ExperimentAborted(f"after {format_duration(self._elapsed)}: {reason}", hint="every fault was taken back")

    async def _held(self) -> str | None:
        asking = asyncio.ensure_future(self._context.checkpoint())
        try:
            await asyncio.wait({asking}, timeout=_HELD_SECONDS)
            if asking.done():
                asking.result()
                return None
            return "the operation is paused, or a gate holds it"
        finally:
            asking.cancel()

    def _failing(self) -> str | None:
        for tally in self.tallies:
            if tally.probe.aborts and tally.in_a_row >= _IN_A_ROW:
                return f"{printable(tally.probe.name)} failed {tally.in_a_row} times in a row: {tally.first_bad}"
        return None

    async def _burning(self) -> str | None:
        for rule in self._experiment.abort:
            now = self._clock.monotonic()
            try:
                found = await self._ground.slo(rule.slo, self._experiment.cluster) if self._ground.slo else None
            except DbreError:  # not known for now
                found = None
            known = found is not None and (found.is_paging is not None if rule.burn is None else found.rate is not None)
            if not known or found is None:
                if now - self._known.setdefault(rule.slo, now) >= _BLIND_SECONDS:
                    return f"{printable(rule.slo)} has been unknown for {format_duration(_BLIND_SECONDS)}"
                continue
            self._known[rule.slo] = now
            if rule.burn is None and found.is_paging:
                return f"{printable(rule.slo)} pages"
            if rule.burn is not None and found.rate is not None and found.rate >= rule.burn:
                return f"{printable(rule.slo)} burns {found.rate:.1f} times too fast, and the limit is {rule.burn:g}"
        return None

    async def _silent(self, injections: Sequence[Injection]) -> str | None:
        for one in injections:
            if one.is_silent:
                await one.kill()  # its state file is what heals
                raise NotReverted(
                    f"the injector of {one.order.fault} on {one.order.instance} does not answer, and was killed",
                    hint="dbre chaos heal",
                )
        return None

    async def _probe(self, tally: Tally) -> None:
        while True:
            tally.count(await ask(self._ground, self._experiment, tally.probe))
            await self._clock.sleep(_PROBE_SECONDS)
