"""Facet ``client`` of Redis and Valkey: acts of probe clients, each one command, in keys of their own."""

from typing import Any

from dbre.core.pool import abort_on_error
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.faults import FAULTS, error_word
from dbre.ports.client_acts import SINGLE_ACT_WORKLOADS, act_on
from dbre.ports.client_work import ClientReply, ClientWork, ClientWorkload, Fate, NotWritable, WorkFailed
from dbre.ports.engine import Access

__all__ = ["RedisClient", "fate_of"]

# Words with which the server refuses a command before it changes anything.
_REFUSALS = frozenset(
    {
        "ASK", "BUSY", "CLUSTERDOWN", "CROSSSLOT", "DENIED", "ERR", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH",
        "NOPERM", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "WRONGPASS", "WRONGTYPE",
    }
)  # fmt: skip
_SWAP = "if redis.call('HGET',KEYS[1],ARGV[1])~=ARGV[2] then return 0 end redis.call('HSET',KEYS[1],ARGV[1],ARGV[3]) return 1"

_NOT_THE_PRIMARY = ("READONLY", "MASTERDOWN")
"""What drivers answer by connecting again, in search of the primary."""


def fate_of(error: Exception, *, is_sent: bool) -> Fate:
    """Whether an error proves that nothing was changed: a lost connection and a time limit prove nothing."""
    return Fate.FAILED if not is_sent or error_word(error) in _REFUSALS else Fate.UNKNOWN


class _Session:
    """Implements ``ports.client_work.ClientConnection``."""

    def __init__(self, connection: Connection, node: str, limit: float) -> None:
        self._connection = connection
        self._limit = limit
        self.node = node
        self.is_sent = False
        self._is_left = False

    @property
    def is_usable(self) -> bool:
        """Open, no answer outstanding, and the server is a primary still, as far as it has told."""
        return self._connection.is_usable and not self._is_left

    def abort(self) -> None:
        """Close the socket at once."""
        self._connection.abort()

    async def do(self, work: ClientWork) -> ClientReply:
        """Do one act."""
        self.is_sent = False
        try:
            return ClientReply(value=await act_on(self, work, product="Redis"), node=self.node)
        except FAULTS.raised as error:
            verdict = FAULTS.classify(error)
            self._is_left = error_word(error) in _NOT_THE_PRIMARY
            raise WorkFailed(
                fate_of(error, is_sent=self.is_sent), verdict.reason if verdict else type(error).__name__
            ) from error

    async def ask(self, name: str, *parameters: object) -> Any:
        """The answer to one command."""
        self.is_sent = True
        return await self._connection.run(named(name), *parameters, limit_seconds=self._limit)

    async def append(self, run: str, value: Any) -> None:
        """An element of the list (``ports.client_acts.Cells``)."""
        await self.ask("client_push", run, value)

    async def members(self, run: str) -> list[int]:
        """The whole list."""
        return [int(one) for one in await self.ask("client_list", run)]

    async def get(self, run: str, key: Any) -> int | None:
        """One field of the hash."""
        found = await self.ask("client_field", run, key)
        return int(found) if found is not None else None

    async def put(self, run: str, key: Any, value: Any) -> None:
        """Set one."""
        await self.ask("client_set_field", run, key, value)

    async def swap(self, run: str, key: Any, old: Any, new: Any) -> bool:
        """Set one that has the old value, within one script."""
        return bool(await self.ask("client_swap", _SWAP, run, key, old, new))


class RedisClient:
    """Implements ``ports.client_work.ClientPort``."""

    workloads = SINGLE_ACT_WORKLOADS

    def __init__(self, access: Access) -> None:
        self._access = access
        self._dialer = Dialer(access, what="client")

    async def prepare(self, run: str, workload: ClientWorkload) -> None:
        """Nothing: keys come with their first write."""

    async def connect(self, *, writable: bool = True) -> _Session:
        """Open a session."""
        limit = self._access.timeouts.statement_seconds
        try:
            connection = await self._dialer.open(self._access)
            with abort_on_error(connection):
                role = await connection.run(named("role"), limit_seconds=limit)
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        if writable and role[0] != "master":
            connection.abort()
            raise NotWritable(f"the server at {self._access.address} does not take writes")
        return _Session(connection, str(self._access.address), limit)

    async def remove(self, run: str) -> None:
        """Delete the keys of a run."""
        limit = max(self._access.timeouts.statement_seconds, 30.0)
        try:
            connection = await self._dialer.open(self._access)
            with abort_on_error(connection):
                await connection.run(named("client_remove"), run, run, limit_seconds=limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
