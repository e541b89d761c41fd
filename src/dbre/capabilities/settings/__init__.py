"""Server parameters: shown, compared, and changed by the operation ``settings.apply``. Names are loaded at their first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.capabilities.settings.operations.apply_settings import ApplySettings
    from dbre.capabilities.settings.slo_guard import SloReading, SloSource

__all__ = ["ApplySettings", "SloReading", "SloSource"]

_MODULES = ("slo_guard", "operations.apply_settings")


def __getattr__(name: str) -> object:
    for module in _MODULES if name in __all__ else ():
        if name in (found := import_module(f"{__name__}.{module}")).__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
