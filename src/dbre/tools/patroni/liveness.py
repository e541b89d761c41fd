"""Whether a Patroni lives, whatever its PostgreSQL does: ``/patroni`` waits for a server that hangs, ``/liveness`` does not.

Silence proves nothing: requests that wait for a server that hangs take all threads of the API, and then nobody is answered.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from dbre.core.fleet import Address
from dbre.tools.json_servers import JsonServers, NoAnswer, NotAsked, ServersAccess

__all__ = ["api_address", "living"]

_PORTS = {"http": 80, "https": 443}


async def living(access: ServersAccess, urls: Sequence[str], *, timeout_seconds: float) -> tuple[str, ...]:
    """Those of the addresses at which a Patroni answers anything at all: 503, too, is the word of a process that lives."""
    servers = JsonServers(access)

    async def lives(url: str) -> bool:
        try:
            await servers.ask(url, "GET", "/liveness", timeout_seconds=timeout_seconds)
        except (NotAsked, NoAnswer):
            return False
        return True

    try:
        found = await asyncio.gather(*(lives(one) for one in urls))
    finally:
        await servers.aclose()
    return tuple(url for url, is_there in zip(urls, found, strict=True) if is_there)


def api_address(url: str) -> Address:
    """Where the process of a URL listens.

    >>> str(api_address("http://db1:8008"))
    'db1:8008'
    """
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
