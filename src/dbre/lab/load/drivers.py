"""Which engines can be loaded; a driver is imported when it is first needed."""

import importlib
from typing import cast

from dbre.core.errors import Unsupported
from dbre.lab.load.model import LoadDriver, LoadTarget

__all__ = ["driver_for"]

# engine: module, class, the package that the module imports, the extra that installs it
_DRIVERS = {
    "postgresql": ("dbre.lab.postgres.load", "PostgresLoad", "psycopg", None),
    "mysql": ("dbre.lab.mariadb_load", "MariaDbLoad", "asyncmy", "mysql"),
    "redis": ("dbre.lab.redis_load", "RedisLoad", "redis", "redis"),
}


def driver_for(target: LoadTarget, *, deadline_seconds: float) -> LoadDriver:
    """The driver for the target's engine. Raises: Unsupported naming the extra if its library is not installed."""
    if target.engine not in _DRIVERS:
        raise Unsupported(f"no load for engine {target.engine!r}", hint=f"engines: {', '.join(_DRIVERS)}")
    module, name, library, extra = _DRIVERS[target.engine]
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise Unsupported(
            f"a load on {target.engine} needs the package {library}, which is not installed",
            hint=f"pip install 'dbre[{extra}]'",
            context={"engine": target.engine, "package": library},
        ) from error
    return cast(LoadDriver, getattr(loaded, name)(target, deadline_seconds=deadline_seconds))
