"""The operations of this capability."""

from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.operations.minor import RollingMinor
from dbre.capabilities.upgrade.operations.parameters import RollingParameters
from dbre.capabilities.upgrade.operations.restart import RollingRestart
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: UpgradeGround) -> tuple[Operation[Any], ...]:
    """Every operation, ready to be registered."""
    return (RollingRestart(ground), RollingParameters(ground), RollingMinor(ground))
