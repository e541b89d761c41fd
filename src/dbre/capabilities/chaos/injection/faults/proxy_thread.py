"""A fault proxy within the injector: it listens as long as the fault is on, and is gone with the injector's process."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from dbre.capabilities.chaos.injection.model import Scene
from dbre.capabilities.chaos.proxy.loop import Loop
from dbre.capabilities.chaos.proxy.service import Proxies
from dbre.core.text import counted
from dbre.ports.wire import WirePort

__all__ = ["OwnProxy"]

_SECONDS = 5.0


class OwnProxy:
    """One proxy with one toxic, in a thread."""

    def __init__(
        self, listen: str, scene: Scene, toxic: Mapping[str, Any], seed: int, wire: Callable[[], WirePort] | None
    ) -> None:
        self._wire = wire
        self._document = {
            "name": "proxy",
            "listen": listen,
            "upstream": str(scene.access.address),
            "engine": scene.engine if wire is not None else None,
            "seed": seed,
            "toxics": [dict(toxic)],
        }
        self._loop: Loop | None = None
        self._proxies: Proxies | None = None
        self._thread: threading.Thread | None = None

    async def prepare(self) -> Mapping[str, Any]:
        """See that the address is free and the protocol is known. Raises: ListenFailed, Unsupported."""
        self._open()
        await self.take()
        return {}

    async def put(self) -> None:
        """Listen, and let clients through with the toxic on."""
        self._open()
        if self._loop is not None:
            self._thread = threading.Thread(target=self._loop.run, name="proxy", daemon=True)
            self._thread.start()

    async def renew(self) -> None:
        """Nothing: it ends with this process."""

    async def look(self) -> tuple[bool, str]:
        """Whether it listens, and what it has counted."""
        if self._proxies is None or self._thread is None or not self._thread.is_alive():
            return False, "the proxy has ended"
        proxy = self._proxies.get("proxy")
        counts = proxy.counts
        hits = sum(counts.hits.values())
        asked, clients = counted(counts.units, "query", "queries"), counted(counts.accepted, "connection")
        return proxy.is_enabled, f"{hits} hit, of {asked} on {clients} at {proxy.address}"

    async def take(self) -> None:
        """End it: connections through it are cut, and nobody listens any more."""
        if self._thread is not None and self._loop is not None:
            self._loop.stop()
            await asyncio.to_thread(self._thread.join, _SECONDS)
            if self._thread.is_alive():
                raise TimeoutError("the proxy's thread does not end")
        if self._proxies is not None and self._loop is not None:
            self._proxies.close()
            self._loop.close()
        self._loop = self._proxies = self._thread = None

    def _open(self) -> None:
        wire = self._wire
        self._loop = Loop()
        self._proxies = Proxies(self._loop, lambda _: wire() if wire is not None else _nothing(), seed=0)
        try:
            self._proxies.create(self._document)
        except BaseException:
            self._proxies.close()
            self._loop.close()
            self._loop = self._proxies = None
            raise


def _nothing() -> WirePort:
    raise AssertionError("a proxy of bytes asks for no protocol")
