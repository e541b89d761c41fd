"""A gate that is late is not one that says no: an experiment goes on for a while, and ends where it stays silent."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from dbre.capabilities.chaos.breaches import Breach, held
from dbre.core.gates.model import SILENCE, GateDecision, GateVerdict
from dbre.core.operation.context import Halt
from dbre.core.operation.controls import Controls
from dbre.core.operation.flags import Flags
from dbre.testing.clock import FakeClock

LATE = GateDecision(gate="budget", verdict=GateVerdict.HOLD, reason="no answer within 1 s", evidence={SILENCE: False})
NO = GateDecision(gate="budget", verdict=GateVerdict.HOLD, reason="43 % is left")


@dataclass
class Held:
    """As much of a step's context as the watch of gates needs, over the runner's own controls."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(datetime(2026, 11, 22, tzinfo=UTC)))
    controls: Controls = field(default_factory=Controls)

    @property
    def halt(self) -> Halt | None:
        return self.controls.halt()

    async def checkpoint(self) -> None:
        if self.controls.aborted.is_set():
            raise asyncio.CancelledError
        assert self.controls.free.is_set()


def paused(controls: Controls, clock: FakeClock) -> None:
    """As a person's pause reaches a runner."""
    flags = {"cancel_requested_by": None, "abort_reason": None, "pause_requested_by": "anna", "pause_reason": "wait a moment"}
    controls.take(Flags(owner="w", attempt=1, deadline=None, tuning={}, **flags), clock.now())


async def watched(context: Held) -> "asyncio.Task[Breach]":
    found = asyncio.create_task(held(context))  # type: ignore[arg-type]
    await context.clock.advance(1.0)
    assert not found.done()
    return found


async def test_a_gate_that_is_late_now_and_then_ends_nothing() -> None:
    context = Held()
    watching = await watched(context)
    for _ in range(10):
        context.controls.gate(LATE)
        await context.clock.advance(8.0)
        context.controls.gate(None)
        await context.clock.advance(0.5)
    assert not watching.done()
    watching.cancel()


async def test_a_gate_that_stays_silent_ends_it() -> None:
    context = Held()
    watching = await watched(context)
    context.controls.gate(LATE)
    await context.clock.advance(11.0)
    assert "for 10 s a gate could not answer: gate budget holds it: no answer within 1 s" in watching.result().reason


@pytest.mark.parametrize("who", ["gate", "person", "person-beside-a-late-gate"])
async def test_who_says_no_ends_it_at_the_next_look(who: str) -> None:
    context = Held()
    watching = await watched(context)
    if who != "person":
        context.controls.gate(NO if who == "gate" else LATE)
    if who != "gate":
        paused(context.controls, context.clock)
    await context.clock.advance(0.5)
    assert ("43 % is left" if who == "gate" else "wait a moment") in watching.result().reason


async def test_an_operation_that_is_to_end_ends_it_though_a_gate_is_late() -> None:
    context = Held()
    watching = await watched(context)
    context.controls.gate(LATE)
    context.controls.abort("cancelled by anna")
    await context.clock.advance(0.5)
    assert watching.cancelled()
