"""Faults that nobody holds are taken back at the start and twice a minute after that; reports get their last numbers."""

import structlog

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.runs.around import FINAL_AFTER, finish
from dbre.capabilities.chaos.runs.repository import unfinished
from dbre.core.errors import DbreError
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["finish_reports", "heal_leftovers"]

_PAUSE_SECONDS = 30.0
_log = structlog.get_logger(__name__)


async def heal_leftovers(ground: ChaosGround) -> None:
    """Heal until cancelled; what cannot be healed is told each time."""
    while True:
        try:
            found = await heal(ground.directory, ground.fleet, ground.engines, ground.clock)
        except DbreError as error:
            _log.warning("healing_failed", error=error.message)
        else:
            for one in found:
                if one.outcome != "held":
                    _log.warning(
                        "fault_left_over",
                        fault=one.record.fault,
                        instance=one.record.instance,
                        outcome=one.outcome,
                        seen=one.detail,
                    )
        await ground.clock.sleep(_PAUSE_SECONDS)


async def finish_reports(ground: ChaosGround, store: Store) -> None:
    """Keep what SLOs and incidents said of each run, once nothing more is counted for its time; until cancelled."""
    while True:
        try:
            await _finish_once(ground, store)
        except ControlPlaneLockLost:
            raise
        except DbreError as error:
            _log.warning("report_not_finished", error=error.message)
        await ground.clock.sleep(_PAUSE_SECONDS)


async def _finish_once(ground: ChaosGround, store: Store) -> None:
    if ground.surroundings is None:
        return
    now = ground.clock.now()
    async with store.read() as connection:
        runs = await unfinished(connection, ended_before=now - FINAL_AFTER)
    for run in runs:
        await finish(store, ground.surroundings, run, now)
