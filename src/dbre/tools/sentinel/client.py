"""Questions to the Sentinels of one primary, over the driver of Redis. Each is asked by itself, and within its time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbre.core.errors import DbreError, Denied, Refused, Unreachable, Unsupported
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.tools.sentinel.model import SentinelWord

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["SentinelAccess", "SentinelClient", "SentinelRefused"]


class SentinelRefused(Refused):
    """A Sentinel does not do what was asked for; the message ends with its reason."""

    code = "sentinel.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAccess:
    """Where the Sentinels are, how to log in to them, and what they call the primary."""

    addresses: tuple[Address, ...]
    master_name: str
    user: str | None = None
    password: Secret | None = None
    timeout_seconds: float = 3.0


class SentinelClient:
    """The Sentinels of one primary. Opens a connection for each question: they are asked rarely, and may have moved on."""

    def __init__(self, access: SentinelAccess) -> None:
        self.access = access

    async def words(self) -> tuple[SentinelWord | DbreError, ...]:
        """What each of them knows, in the order of the addresses; or why it did not tell."""
        return tuple(await asyncio.gather(*(self._word_or_error(one) for one in self.access.addresses)))

    async def failover(self) -> Address:
        """Ask for a failover though the primary lives; returns the Sentinel that took it on.

        It is under way when this returns, and done when a majority names another primary. Raises: SentinelRefused with the
        reason of the last one that was asked, Unreachable where none answers.
        """
        last: DbreError | None = None
        for address in self.access.addresses:
            try:
                await self._ask(address, ("SENTINEL", "FAILOVER", self.access.master_name))
            except DbreError as error:
                last = error
                continue
            return address
        raise last or Unreachable("no Sentinel is configured")

    async def _word_or_error(self, address: Address) -> SentinelWord | DbreError:
        try:
            return await self._word(address)
        except DbreError as error:
            return error

    async def _word(self, address: Address) -> SentinelWord:
        name = self.access.master_name
        master, replicas = await self._ask(address, ("SENTINEL", "MASTER", name), ("SENTINEL", "REPLICAS", name))
        try:
            await self._ask(address, ("SENTINEL", "CKQUORUM", name))
            quorum_error = None
        except SentinelRefused as error:
            quorum_error = error.message.partition(": ")[2]
        found = replicas if isinstance(replicas, list) else []
        return SentinelWord.read(address, _fields(master), tuple(_fields(one) for one in found), quorum_error)

    async def _ask(self, address: Address, *commands: Sequence[str]) -> list[Any]:
        """The answers to some commands over one connection. Raises: SentinelRefused, Denied, Unreachable, Unsupported."""
        limit = self.access.timeout_seconds
        client = _connection(address, self.access)
        try:
            async with asyncio.timeout(limit):
                send: Callable[..., Awaitable[Any]] = client.execute_command
                return [await send(*one, NEVER_DECODE=True) for one in commands]
        except TimeoutError as error:
            raise Unreachable(f"Sentinel {address} did not answer within {limit:g} s") from error
        except Exception as error:
            raise _translated(address, error) from error
        finally:
            await _closed(client)


def _connection(address: Address, access: SentinelAccess) -> "Redis":
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise Unsupported("Sentinels are asked through redis-py, which is not installed", hint="install dbre[redis]") from error
    client = Redis(
        host=address.host,
        port=address.port,
        username=access.user,
        password=access.password.reveal() if access.password is not None else None,
        socket_timeout=access.timeout_seconds,
        socket_connect_timeout=access.timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        client_name="dbre:ha",
        protocol=2,
    )
    client.response_callbacks.clear()  # answers as they come: what a version adds must not break the reading
    return client


async def _closed(client: "Redis") -> None:
    try:
        await asyncio.wait_for(client.aclose(), 1.0)
    except (OSError, TimeoutError):
        return  # it was broken already


def _translated(address: Address, error: Exception) -> DbreError:
    from redis import exceptions

    said = printable(str(error), limit=300)
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return Denied(f"Sentinel {address} refuses the login: {said}", hint="see ha.clusters.sentinel: user and password")
    if isinstance(error, exceptions.ResponseError):
        if said.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            return Denied(f"Sentinel {address} refuses the login: {said}", hint="see ha.clusters.sentinel: user and password")
        return SentinelRefused(f"Sentinel {address} refuses: {said}")
    if isinstance(error, exceptions.RedisError | OSError):
        return Unreachable(f"Sentinel {address} cannot be asked: {said}")
    raise error


def _fields(answer: Any) -> Mapping[str, str]:
    words = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in answer or ()]
    return dict(zip(words[::2], words[1::2], strict=False))
