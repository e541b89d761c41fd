"""Redis and Valkey: one protocol, told apart by what the servers say of themselves."""

import redis  # noqa: F401 - whoever imports this package learns at once whether the optional driver is there

from dbre.engines.redis.engine import RedisEngine

__all__ = ["RedisEngine"]
