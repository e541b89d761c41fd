"""The operations of this capability."""

from typing import Any

from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.operations.switchover import Switchover
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: SwitchoverGround) -> tuple[Operation[Any], ...]:
    """Every operation, ready to be registered."""
    return (Switchover(ground),)
