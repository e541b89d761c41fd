"""What happens beside a step while it runs: gates are asked each second, and what the step says is shown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from dbre.core.errors import StoreError
from dbre.core.gates.model import GateVerdict, Moment
from dbre.core.operation.gate_keeping import Asked, GateKeeping
from dbre.core.operation.hand import Hand
from dbre.core.operation.model import Hold
from dbre.core.operation.page import Page
from dbre.core.operation.step_context import RunContext

__all__ = ["Inside", "beside"]

TICK_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class Inside:
    """Beside one step."""

    def __init__(self, hand: Hand, context: RunContext, keeping: GateKeeping | None, *, places: asyncio.Semaphore) -> None:
        self._hand = hand
        self._context = context
        self._keeping = keeping if keeping is not None and keeping.has_any(hand.position.record) else None
        self._places = places
        self._shown: Hold | None = hand.position.record.hold

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self._hand.clock.sleep(TICK_SECONDS)
            try:
                await asyncio.shield(asyncio.ensure_future(self._context.show()))
                if self._keeping is not None:
                    await self._ask(self._keeping)
                await self._show_hold()
            except StoreError as error:  # what is shown is a second older; the step goes on
                _log.warning("step_not_shown", operation=str(self._hand.id), code=error.code, error=error.message)

    async def _ask(self, keeping: GateKeeping) -> None:
        controls, step = self._hand.controls, self._context.step.name
        async with self._places:
            asked = await keeping.ask_running(self._hand, Moment.INSIDE, step)
        controls.gate(asked.worst(GateVerdict.HOLD))
        if asked.news:
            await self._commit("gates", asked, None)
        if (refusal := asked.worst(GateVerdict.REFUSE)) is not None:
            controls.abort(f"gate {refusal.gate} refuses: {refusal.reason}")

    async def _show_hold(self) -> None:
        since = self._shown.since if self._shown else self._hand.clock.now()
        hold = self._hand.controls.hold(since)
        if (hold and (hold.by, hold.is_gate)) != (self._shown and (self._shown.by, self._shown.is_gate)):
            await self._commit("hold", None, hold)
            self._shown = hold

    async def _commit(self, what: str, asked: Asked | None, hold: Hold | None) -> None:
        async def write(page: Page) -> None:
            if asked is not None:
                await page.decisions(asked.news, moment=asked.moment, step=asked.step)
            else:
                await page.hold(hold)

        # Shielded: the position in memory must follow what is committed, also where the step ends at this moment.
        await asyncio.shield(asyncio.ensure_future(self._hand.commit(what, write)))


@asynccontextmanager
async def beside(inside: Inside) -> AsyncIterator[None]:
    """Have it run for as long as the block."""
    task = asyncio.create_task(inside.run(), name="operation-inside")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=0.25)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("step_watch_failed", error=f"{type(error).__name__}: {error}")
