"""Deploys that somebody told of, as reports see them: changes that dbre did not make itself."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.report.span import Span
from dbre.capabilities.report.work import Work
from dbre.core.events import Event, recent
from dbre.core.operation.states import OperationState

__all__ = ["DEPLOY", "read_deploys"]

DEPLOY = "deploy.recorded"
"""The kind of the event, which stands where operations have their kind."""
_PAGE = 500


async def read_deploys(connection: AsyncConnection, span: Span) -> Sequence[Work]:
    """The deploys of a span, the oldest first."""
    found: list[Event] = []
    before: int | None = None
    while page := await recent(connection, _PAGE, before=before, kind=DEPLOY, since=span.since):
        found += page
        before = page[-1].sequence
    return [_work(one) for one in sorted(found, key=lambda one: (one.at, one.sequence)) if span.holds(one.at)]


def _work(event: Event) -> Work:
    """A moment, of which nobody knows when it was planned; it went well unless something follows it."""
    cluster, by = event.data.get("cluster"), event.data.get("by")
    return Work(
        id=str(event.id),
        kind=DEPLOY,
        cluster=str(cluster) if cluster else None,
        state=OperationState.SUCCEEDED,
        requested_by=str(by or ""),
        is_automatic=False,
        is_reading=False,
        tags=frozenset(),
        created_at=None,
        started_at=event.at,
        ended_at=event.at,
    )
