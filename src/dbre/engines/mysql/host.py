"""The process of a MariaDB server on its machine: it may be started as a follower where its settings keep it from writing."""

import asyncio

from dbre.core.fleet import Instance
from dbre.engines.mysql.option_file import OPTION_FILE
from dbre.engines.mysql.session import is_switched_on
from dbre.ports.server_process import ServerProcess
from dbre.ports.succession import Following

__all__ = ["PROGRAMS", "READ_ONLY", "MariaDbHost"]

PROGRAMS = frozenset({"mariadbd", "mysqld"})
READ_ONLY = "read_only"


class MariaDbHost(ServerProcess):
    """Implements ``ports.succession.HostPort``."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, product="MariaDB", programs=PROGRAMS, settings_format=OPTION_FILE)

    async def start_as_follower(self, following: Following, *, limit_seconds: float) -> None:
        """Only where its file of settings says that it starts read-only. Raises: Unsupported."""
        kept = await self.kept_settings() or {}
        if not is_switched_on(kept.get(READ_ONLY, "OFF")) and not await asyncio.to_thread(self.processes):
            await super().start_as_follower(following, limit_seconds=limit_seconds)
        await self.start(limit_seconds=limit_seconds)
