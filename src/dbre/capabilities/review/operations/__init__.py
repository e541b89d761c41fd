"""The operations of this capability."""

from typing import Any

from dbre.capabilities.review.operations.check_fleet import CheckFleet
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.operation.definition import Operation
from dbre.ports.engine import EngineRegistry

__all__ = ["operations"]


def operations(*, fleet: Fleet, engines: EngineRegistry, clock: Clock) -> tuple[Operation[Any], ...]:
    """What the composition root registers."""
    return (CheckFleet(fleet=fleet, engines=engines, clock=clock),)
