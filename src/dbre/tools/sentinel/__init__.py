"""Redis Sentinel: what each of them knows of a primary, and asking them for a failover."""

from dbre.tools.sentinel.client import SentinelAccess, SentinelClient, SentinelRefused
from dbre.tools.sentinel.model import ReplicaWord, SentinelWord

__all__ = ["ReplicaWord", "SentinelAccess", "SentinelClient", "SentinelRefused", "SentinelWord"]
