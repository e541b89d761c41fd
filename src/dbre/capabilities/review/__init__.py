"""What is wrong with a fleet: read-only checks, and the operation that runs them. Names are loaded at their first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.capabilities.review.checks import CHECKS, DOCTOR, examine
    from dbre.capabilities.review.operations.check_fleet import CheckFleet

__all__ = ["CHECKS", "DOCTOR", "CheckFleet", "examine"]

_MODULES = ("checks", "operations.check_fleet")


def __getattr__(name: str) -> object:
    for module in _MODULES if name in __all__ else ():
        if name in (found := import_module(f"{__name__}.{module}")).__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
