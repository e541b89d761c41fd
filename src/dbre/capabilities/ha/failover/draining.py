"""What a candidate has received and not applied is applied before it is promoted, and how long that takes is shown."""

from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.positions import furthest
from dbre.core.errors import DbreError
from dbre.core.operation.context import StepContext
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.ports.engine import Server
from dbre.ports.topology import LogPosition, NodeView

__all__ = ["Drained", "NotDrained", "drain", "missing_transactions", "unapplied_bytes"]

_LOOK_SECONDS = 0.1
_STUCK_SECONDS = 3.0
"""After so long without progress what is missing was received in part only, and never will be applied."""


class NotDrained(DbreError):
    """The candidate did not apply in time what it has received."""

    code = "ha.not_drained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How far the candidate came. ``usable`` is what it will have as a primary."""

    usable: LogPosition | None
    waiting: str  # what was to be applied, in words
    seconds: float
    left: str | None  # what never will be applied; None: nothing
    transactions: int | None = None  # that were to be applied; None: nobody numbers them
    bytes: int | None = None  # of the log, the same; None: only the upstream would know

    def as_document(self) -> dict[str, Any]:
        """As the journal of an operation holds it."""
        return {
            "usable": self.usable.text if self.usable is not None else None,
            "waiting": self.waiting,
            "seconds": round(self.seconds, 3),
            "left": self.left,
            "waiting_transactions": self.transactions,
            "waiting_bytes": self.bytes,
        }


async def drain(server: Server, context: StepContext, *, limit_seconds: float) -> Drained:
    """Wait until all that was received is applied, as long as that makes progress. Raises: NotDrained.

    A log that is counted in bytes is applied by the promotion itself: there nothing is waited for.
    """
    clock = context.clock
    begun = moved = clock.monotonic()
    view = await server.topology.view()
    first = _missing(view)
    if first.is_replayed_anyway or first.count == 0:
        return Drained(
            usable=_received(view),
            waiting=first.words,
            seconds=0.0,
            left=None,
            transactions=None if first.is_replayed_anyway else 0,
            bytes=first.count if first.is_replayed_anyway else 0,
        )
    last, unapplied = first.count, unapplied_bytes(view)
    while True:
        await context.checkpoint()
        await clock.sleep(_LOOK_SECONDS)
        view = await server.topology.view()
        now, missing = clock.monotonic(), _missing(view)
        done = Drained(
            usable=view.position,
            waiting=first.words,
            seconds=now - begun,
            left=missing.words if missing.count else None,
            transactions=first.count,
            bytes=unapplied,
        )
        if missing.count == 0:
            return done
        if missing.count < last:
            last, moved = missing.count, now
        await context.progress(first.count - missing.count, first.count, "transactions")
        if now - moved >= _STUCK_SECONDS and missing.count <= len((view.position or _NOWHERE).sequences or {}):
            return done
        if now - begun >= limit_seconds:
            raise NotDrained(
                f"after {format_duration(limit_seconds)} the candidate still has to apply {missing.words}",
                hint="raise failover: drain, or promote another one: --to",
            )


_NOWHERE = LogPosition(text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    count: int
    words: str
    is_replayed_anyway: bool


def _missing(view: NodeView) -> _Missing:
    received, applied = _received(view), view.position
    if received is None or applied is None:
        return _Missing(count=0, words="nothing that is known of", is_replayed_anyway=False)
    behind = applied.bytes_behind(received)
    if behind is not None:
        return _Missing(count=max(0, behind), words=format_bytes(max(0, behind)), is_replayed_anyway=True)
    count = applied.transactions_behind(received) or 0
    return _Missing(count=count, words=counted(count, "transaction"), is_replayed_anyway=False)


def unapplied_bytes(view: NodeView) -> int | None:
    """Bytes of log that a replica has received and not applied; None where it cannot tell for each of its upstreams."""
    known = [one.behind_bytes for one in view.upstreams]
    return sum(one for one in known if one is not None) if known and None not in known else None


def missing_transactions(view: NodeView) -> int | None:
    """Transactions that are to be applied before a promotion; None where the promotion itself applies what there is."""
    missing = _missing(view)
    return None if missing.is_replayed_anyway else missing.count


def _received(view: NodeView) -> LogPosition | None:
    return furthest([*(one.received for one in view.upstreams), view.position])
