"""What the observer of a lab may do: exactly what its engine asks for."""

import importlib
from types import ModuleType

from dbre.core.errors import Unsupported

__all__ = [
    "observer_backup_grants",
    "observer_client_grants",
    "observer_grants",
    "observer_mischief_grants",
    "observer_succession_grants",
]

_MODULES = {"mysql": "dbre.engines.mysql.grants", "redis": "dbre.engines.redis.grants"}  # each needs the extra of its name


def observer_grants(engine: str, user: str) -> str:
    """The engine's own script for ``user``. Raises: Unsupported naming the extra if the engine's driver is not installed."""
    script: str = _module(engine).grant_script(user)
    return script


def observer_backup_grants(engine: str, user: str) -> tuple[str, ...]:
    """What ``user`` needs besides so that ``dbre backup`` can be tried. Raises: Unsupported, likewise."""
    statements: tuple[str, ...] = _module(engine).backup_grants(user)
    return statements


def observer_client_grants(engine: str, user: str) -> tuple[str, ...]:
    """What ``user`` needs besides so that ``dbre ha probe`` can be tried. Raises: Unsupported, likewise."""
    statements: tuple[str, ...] = _module(engine).client_grants(user)
    return statements


def observer_mischief_grants(engine: str, user: str) -> tuple[str, ...]:
    """What ``user`` needs besides so that ``dbre chaos`` can be tried. Raises: Unsupported, likewise."""
    statements: tuple[str, ...] = _module(engine).mischief_grants(user)
    return statements


def observer_succession_grants(engine: str, user: str) -> tuple[str, ...]:
    """What ``user`` needs besides so that ``dbre ha switchover`` can be tried. Raises: Unsupported, likewise."""
    statements: tuple[str, ...] = _module(engine).succession_grants(user)
    return statements


def _module(engine: str) -> ModuleType:
    try:
        return importlib.import_module(_MODULES[engine])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dbre"):
            raise
        raise Unsupported(
            f"a lab of {engine} needs the package {error.name}, which is not installed",
            hint=f"pip install 'dbre[{engine}]'",
            context={"engine": engine, "package": error.name},
        ) from error
