"""Facet ``statistics`` of Redis and Valkey: counters and gauges for the exporter."""

from collections.abc import Sequence

from dbre.engines.redis.link import Conversation, Link, sections_of
from dbre.engines.redis.metrics import command_families, families, info_families
from dbre.ports.statistics import Collector, MetricFamily, find_collector

__all__ = ["RedisStatistics"]

_INFO = Collector(name="info", interval_seconds=10.0)
_COMMANDS = Collector(name="commands", interval_seconds=10.0)


class RedisStatistics:
    """Implements ``ports.statistics``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def collectors(self) -> Sequence[Collector]:
        """The collectors that our login may run: both, or none where INFO is not allowed."""

        async def ask(conversation: Conversation) -> Sequence[Collector]:
            return (_INFO, _COMMANDS) if "+info" in await conversation.privileges() else ()

        return await self._link.ask(ask)

    async def collect(self, collector: str) -> Sequence[MetricFamily]:
        """Run one collector. Raises: UsageError where there is none of that name; as every facet does."""
        known = {_INFO.name: _info, _COMMANDS.name: _commands}
        return await self._link.ask(find_collector(collector, known))


async def _info(conversation: Conversation) -> Sequence[MetricFamily]:
    return families(info_families(await conversation.info()))


async def _commands(conversation: Conversation) -> Sequence[MetricFamily]:
    return families(command_families(sections_of(await conversation.ask("command_statistics"))))
