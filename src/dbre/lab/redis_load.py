"""How Redis is loaded: by redis-py, over the first address that says it is the master."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from dbre.core.errors import Unreachable
from dbre.lab.load.model import LoadTarget

__all__ = ["RedisLoad"]

_KEY = "lab_ledger:"


class _Connection:
    """One connection; broken by anything but an answer."""

    def __init__(self, driver: redis.asyncio.Connection) -> None:
        self._driver = driver
        self._is_usable = True
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the last command ended with an answer."""
        return self._is_usable and self._driver.is_connected

    def abort(self) -> None:
        """Close the socket at once."""
        self._is_usable = False
        if self._closing is None:
            self._closing = asyncio.create_task(self._driver.disconnect(nowait=True))

    async def run(self, *words: str | int) -> Any:
        """Send one command and read its answer."""
        self._is_usable = False
        await self._driver.send_command(*words)
        answer = await self._driver.read_response()
        self._is_usable = True
        return answer

    async def write(self, run: str, sequence: int) -> None:
        """Store one number."""
        await self.run("RPUSH", _KEY + run, sequence)

    async def read(self, run: str) -> None:
        """Read the newest number."""
        await self.run("LINDEX", _KEY + run, -1)


class RedisLoad:
    """The load's driver for Redis."""

    errors: tuple[type[Exception], ...] = (RedisError, Unreachable, OSError, EOFError)

    def __init__(self, target: LoadTarget, *, deadline_seconds: float) -> None:
        self._target = target
        self._deadline = deadline_seconds

    async def prepare(self) -> None:
        """See that the master answers; a list needs no making."""
        (await self.connect()).abort()

    async def connect(self) -> _Connection:
        """Connect to the first address that is a master."""
        failure: Exception | None = None
        for address in self._target.addresses:
            driver = redis.asyncio.Connection(
                host=address.host,
                port=address.port,
                username=self._target.user,
                password=self._target.password.reveal() if self._target.password else None,
                socket_connect_timeout=self._deadline,
                client_name="dbre:lab-load",
                decode_responses=True,
            )
            connection = _Connection(driver)
            try:
                await driver.connect()  # type: ignore[no-untyped-call]
                role = await connection.run("ROLE")
            except self.errors as error:
                connection.abort()
                failure = failure or error
                continue
            except asyncio.CancelledError:
                connection.abort()
                raise
            if role[0] == "master":
                return connection
            connection.abort()
        raise failure or Unreachable("no server is a master")

    async def stored(self, run: str) -> Sequence[int]:
        """All numbers of a run that the database holds."""
        connection = await self.connect()
        try:
            return [int(one) for one in await connection.run("LRANGE", _KEY + run, 0, -1)]
        finally:
            connection.abort()

    def reason(self, error: Exception) -> str:
        """The server's error word, or what happened to the connection."""
        text = str(error)
        if "refused" in text:
            return "Connection refused"
        if isinstance(error, Unreachable):
            return error.message
        return type(error).__name__
