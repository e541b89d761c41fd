"""How many operations wait for a person: the number in the header of every page."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.counting import OperationCount, attention_counts, open_counts
from dbre.core.operation.target_labels import cluster_of, labels_of
from dbre.core.store import Store

__all__ = ["Attention", "OpenOperations"]

_KEPT_SECONDS = 2.0
_ANSWER_SECONDS = 0.5  # a page is not kept waiting for a number


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOperations:
    """What is under way on one cluster."""

    running: int = 0
    held: int = 0
    waiting: int = 0
    attention: int = 0


class Attention:
    """Counts for one principal after another; the store is asked once in two seconds, however many pages are shown."""

    def __init__(self, store: Store, fleet: Fleet, clock: Clock) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._known: Sequence[OperationCount] = ()
        self._read_at = float("-inf")

    async def count(self, principal: Principal) -> int | None:
        """Operations that the principal may see and that wait for somebody; None: the store does not answer now."""
        if self._clock.monotonic() - self._read_at > _KEPT_SECONDS:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS), self._store.read() as connection:
                    self._known = await attention_counts(connection)
            except (StoreError, TimeoutError):
                return None
            self._read_at = self._clock.monotonic()
        return sum(one.count for one in self._known if self._may_see(principal, one))

    async def by_cluster(self, principal: Principal) -> dict[str, OpenOperations] | None:
        """What is open on each cluster, as far as the principal may see it; None: the store does not answer now."""
        try:
            async with asyncio.timeout(2 * _ANSWER_SECONDS), self._store.read() as connection:
                counts = await open_counts(connection)
        except (StoreError, TimeoutError):
            return None
        found: dict[str, list[OperationCount]] = {}
        for one in counts:
            cluster = cluster_of(one.target)
            if cluster is not None and self._may_see(principal, one):
                found.setdefault(cluster, []).append(one)
        return {cluster: _summed(ones) for cluster, ones in found.items()}

    def _may_see(self, principal: Principal, one: OperationCount) -> bool:
        return principal.may(Permission.READ, labels_of(one.target, self._fleet))


def _summed(counts: Sequence[OperationCount]) -> OpenOperations:
    attention = ("awaiting_approval", "needs_operator")
    return OpenOperations(
        running=sum(one.count for one in counts if one.state in ("running", "verifying", "compensating")),
        held=sum(one.count for one in counts if one.state == "paused" or (one.state == "queued" and one.is_held)),
        waiting=sum(one.count for one in counts if one.state == "queued" and not one.is_held),
        attention=sum(one.count for one in counts if one.state in attention),
    )
