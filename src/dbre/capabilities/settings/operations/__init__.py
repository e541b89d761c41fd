"""The operations of this capability."""

from typing import Any

from dbre.capabilities.settings.operations.apply_settings import ApplySettings
from dbre.capabilities.settings.slo_guard import SloSource
from dbre.core.fleet import Fleet
from dbre.core.operation.definition import Operation
from dbre.ports.engine import EngineRegistry

__all__ = ["operations"]


def operations(*, fleet: Fleet, engines: EngineRegistry, slo: SloSource | None = None) -> tuple[Operation[Any], ...]:
    """What the composition root registers; ``slo`` reads an objective for changes that are watched."""
    return (ApplySettings(fleet=fleet, engines=engines, slo=slo),)
