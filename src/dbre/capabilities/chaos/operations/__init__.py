"""The operations of this capability."""

from typing import Any

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.operations.run_experiment import RunExperiment
from dbre.capabilities.chaos.operations.run_suite import RunSuite
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: ChaosGround) -> tuple[Operation[Any], ...]:
    """Every operation, ready to be registered."""
    return (RunExperiment(ground), RunSuite(ground))
