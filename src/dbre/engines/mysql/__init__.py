"""MySQL and MariaDB: two products that speak one protocol, told apart by what they say of themselves."""

import asyncmy  # noqa: F401 - whoever imports this package learns at once whether the optional driver is there

from dbre.engines.mysql.engine import MySqlEngine

__all__ = ["MySqlEngine"]
