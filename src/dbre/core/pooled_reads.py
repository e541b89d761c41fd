"""Questions that only read, to one server: pooled, bounded in time, asked again where that may help, not while it is broken."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from dbre.core.breaker import CircuitBreaker
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Unreachable
from dbre.core.pool import Pool, PoolBusy, Pooled
from dbre.core.retry import RetryPolicy, retry

__all__ = ["PooledReads"]

_WAIT_RATIO = 0.9  # of the time: connections that stay busy then say so themselves, and do not look like a silent server

Connection = TypeVar("Connection", bound=Pooled)
Answer = TypeVar("Answer")


class PooledReads(Generic[Connection]):
    """Asks over at most ``connections`` connections, each question within ``limit_seconds``, waiting for one included.

    ``translate`` makes an error of ours of what the driver or the network raised, with the original as its cause;
    ``may_pass`` tells of such an error whether asking again may help; ``is_slow`` whether it speaks against one slow question
    only, and not against the server.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        *,
        name: str,
        connections: int,
        limit_seconds: float,
        clock: Clock,
        raised: tuple[type[Exception], ...],
        translate: Callable[[Exception], DbreError],
        may_pass: Callable[[Exception], bool],
        is_slow: Callable[[Unreachable], bool] = lambda _: False,
    ) -> None:
        self._pool: Pool[Connection] = Pool(open_connection, limit=connections, name=name)
        self._breaker = CircuitBreaker(name, clock=clock)
        self._policy = RetryPolicy(attempts=3, first_seconds=0.05, longest_seconds=0.5, total_seconds=limit_seconds)
        self._clock = clock
        self._raised = raised
        self._translate = translate
        self._may_pass = may_pass
        self._is_slow = is_slow

    async def ask(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Let ``work`` ask over one connection; it only reads, so that it may be asked twice.

        Raises: Unreachable (CircuitOpen without asking, while the server is known to be broken; PoolBusy, which speaks neither
        for nor against the server), and what ``translate`` makes.
        """
        deadline = self._clock.monotonic() + self._policy.total_seconds
        async with self._breaker.guard(is_failure=self._is_broken):
            return await retry(
                lambda: self._ask_once(work, deadline), clock=self._clock, policy=self._policy, when=self._may_pass
            )

    async def _ask_once(self, work: Callable[[Connection], Awaitable[Answer]], deadline: float) -> Answer:
        left = deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(left), self._pool.connection(wait_seconds=left * _WAIT_RATIO) as connection:
                return await work(connection)
        except self._raised as error:
            raise self._translate(error) from error

    def _is_broken(self, error: Exception) -> bool | None:
        if isinstance(error, PoolBusy):
            return None  # the server was not asked
        return isinstance(error, Unreachable) and not self._is_slow(error)

    @property
    def open_connections(self) -> frozenset[Connection]:
        """The connections that are open now, busy or not."""
        return self._pool.connections

    def close(self) -> None:
        """Close every connection, busy ones too; never waits."""
        self._pool.close()
