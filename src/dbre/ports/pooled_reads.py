"""The way from the facets of a server to its process, as an access limits it and an engine's faults explain it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.pool import Pooled
from dbre.core.pooled_reads import PooledReads
from dbre.ports.engine import Access
from dbre.ports.faults import Faults

__all__ = ["pooled_reads"]

Connection = TypeVar("Connection", bound=Pooled)


def pooled_reads(
    open_connection: Callable[[], Awaitable[Connection]],
    *,
    access: Access,
    faults: Faults,
    clock: Clock,
    is_slow: Callable[[Unreachable], bool] = lambda _: False,
) -> PooledReads[Connection]:
    """Questions to one server that end within the time of a connection and a statement; does no I/O yet.

    ``is_slow`` tells an error that speaks against one slow statement only, and not against the server.
    """
    limit = access.timeouts.connect_seconds + access.timeouts.statement_seconds
    return PooledReads(
        open_connection,
        name=f"{faults.product} at {access.address}",
        connections=access.max_connections,
        limit_seconds=limit,
        clock=clock,
        raised=faults.raised,
        translate=lambda error: faults.translate(error, access, limit_seconds=limit),
        may_pass=faults.may_pass,
        is_slow=is_slow,
    )
