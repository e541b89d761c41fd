"""The dead man's switch: tells a service elsewhere that all is well, and falls silent when it is not.

Whatever hinders it is told by its silence, so it needs no other way to anybody.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from dbre.capabilities.incident.address_guard import AddressPolicy
from dbre.capabilities.incident.documents import check_url
from dbre.capabilities.incident.oncall.documents import HeartbeatDocument
from dbre.capabilities.incident.posting import Destination, Request, judge, post
from dbre.core.clock import Clock
from dbre.core.errors import DbreError

__all__ = ["Heartbeat"]

_log = structlog.get_logger(__name__)


class Heartbeat:
    """A part of the control plane. ``find_trouble`` gives what is wrong with it, or None."""

    def __init__(self, document: HeartbeatDocument, find_trouble: Callable[[], Awaitable[str | None]], clock: Clock) -> None:
        self._document = document
        self._find_trouble = find_trouble
        self._clock = clock

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await self._clock.sleep(self._document.interval.total_seconds())

    async def beat(self) -> bool:
        """Tell once that all is well, if it is; whether it was told."""
        try:
            async with asyncio.timeout(self._document.timeout.total_seconds()):
                trouble = await self._find_trouble()
        except TimeoutError:
            trouble = "the control plane does not answer its own question"
        if trouble is not None:
            _log.error("heartbeat_withheld", trouble=trouble)
            return False
        try:
            url = check_url((await self._document.url.resolve()).reveal())
            answer = await post(self._destination(url), Request(body=b"", headers={"Content-Length": "0"}))
            judge(answer, "the heartbeat's service", self._clock.now())
        except DbreError as error:
            _log.warning("heartbeat_not_taken", code=error.code, error=error.message)
            return False
        return True

    def _destination(self, url: str) -> Destination:
        return Destination(
            who="the heartbeat's service",
            url=url,
            timeout_seconds=self._document.timeout.total_seconds(),
            policy=AddressPolicy(allow_loopback=self._document.allow_loopback, allow_private=self._document.allow_private),
        )
