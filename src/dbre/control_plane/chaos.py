"""Faults that nobody holds are taken back at the start of the control plane, and twice a minute after that."""

import structlog

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.healing import heal
from dbre.core.errors import DbreError

__all__ = ["heal_leftovers"]

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
