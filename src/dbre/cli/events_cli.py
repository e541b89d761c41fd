"""``dbre events``: things that happened, and how they were brought to whom."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from dbre.core.errors import UsageError
from dbre.core.moments import moment_of
from dbre.core.text import one_line
from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from collections.abc import Mapping

    from dbre.core.events import Delivery, Event

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Things that happened, and their delivery.")

_EVENT_COLUMNS = (
    Column(key="sequence", title="SEQUENCE", right=True),
    Column(key="at", title="AT"),
    Column(key="kind", title="KIND"),
    Column(key="subject", title="SUBJECT"),
    Column(key="why", title="WHY"),
    Column(key="data", title="DATA", wide=True),
    Column(key="id", title="ID", wide=True),
)
_DELIVERY_COLUMNS = (
    Column(key="sequence", title="SEQUENCE", right=True),
    Column(key="kind", title="KIND"),
    Column(key="subject", title="SUBJECT"),
    Column(key="subscription", title="SUBSCRIPTION"),
    Column(key="state", title="STATE"),
    Column(key="attempts", title="ATTEMPTS", right=True),
    Column(key="next_attempt_at", title="NEXT ATTEMPT"),
    Column(key="delivered_at", title="DELIVERED"),
    Column(key="last_error", title="LAST ERROR"),
    Column(key="event_id", title="EVENT", wide=True),
)

_SUBSCRIPTION_COLUMNS = (
    Column(key="name", title="SUBSCRIPTION"),
    Column(key="kinds", title="KINDS"),
    Column(key="pending_count", title="PENDING", right=True),
    Column(key="oldest_pending_at", title="OLDEST PENDING"),
    Column(key="dead_count", title="DEAD", right=True),
    Column(key="registered_at", title="REGISTERED", wide=True),
)

Since = Annotated[
    str | None,
    typer.Option("--since", help="Not older than this: 2h, 3d, a day of UTC 2026-11-21, or a moment 2026-11-21T04:00:00Z."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many, the newest.")]


@app.command("list")
async def list_(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only this kind; slo.* for all of an area.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this cluster, SLO, ...")] = None,
    since: Since = None,
    limit: Limit = 25,
) -> View:
    """Show what happened, the newest first."""
    from dbre.core.events import recent
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    moment = moment_of("--since", since, here.clock)
    async with here.open_store() as store, store.read() as connection:
        found = await recent(connection, limit, kind=kind, subject=subject, since=moment)
    return View(kind="EventList", items=[_event_row(one) for one in found], columns=_EVENT_COLUMNS, empty="no event matches")


@app.command()
async def deliveries(
    ctx: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only dead ones, and those whose last attempt failed.")] = False,
    subscription: Annotated[str | None, typer.Option(help="Only to this subscription.")] = None,
    limit: Limit = 25,
) -> View:
    """Show to whom events were brought, and what went wrong."""
    from dbre.core.events import deliveries as find
    from dbre.core.events import require_subscription
    from dbre.ports.runtime import runtime

    async with runtime(ctx).open_store() as store, store.read() as connection:
        if subscription is not None:
            await require_subscription(connection, subscription)
        found = await find(connection, limit, failed=failed, subscription=subscription)
    return View(
        kind="DeliveryList",
        items=[_delivery_row(one) for one in found],
        columns=_DELIVERY_COLUMNS,
        empty="no delivery failed" if failed else "no delivery matches",
    )


@app.command("subscriptions")
async def list_subscriptions(ctx: typer.Context) -> View:
    """Show who gets which events, and how much still waits for them."""
    from dbre.core.events import subscriptions
    from dbre.ports.runtime import runtime

    async with runtime(ctx).open_store() as store, store.read() as connection:
        found = await subscriptions(connection)
    return View(
        kind="SubscriptionList",
        items=[{column.key: getattr(one, column.key) for column in _SUBSCRIPTION_COLUMNS} for one in found],
        columns=_SUBSCRIPTION_COLUMNS,
        empty="no subscription: no receiver is configured, or no control plane has run yet",
    )


@app.command()
async def replay(
    ctx: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Deliver to this subscription again.")],
    event: Annotated[list[UUID] | None, typer.Option(help="This event; may be repeated.")] = None,
    kind: Annotated[str | None, typer.Option(help="All of this kind; slo.* for all of an area.")] = None,
    since: Since = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
) -> View:
    """Deliver events to a subscription again; the control plane does it within seconds.

    At least one of --event, --kind, --since and --dead says which; all that are given must hold. Receivers get the same event
    id as before, by which they can tell a repetition.
    """
    from dbre.core.events import ReplaySelection, require_subscription
    from dbre.core.events import replay as make_pending
    from dbre.ports.runtime import runtime

    if not (event or kind or since or dead):
        raise UsageError("nothing says which events to deliver again", hint="add --dead, --event ID, --kind KIND or --since 2h")
    here = runtime(ctx)
    selection = ReplaySelection(
        ids=tuple(event or ()), kind=kind, since=moment_of("--since", since, here.clock), only_dead=dead
    )
    async with here.open_store() as store, store.begin() as connection:
        await require_subscription(connection, subscription)
        count = await make_pending(connection, subscription, selection)
    return View(
        kind="EventReplay",
        items=[{"subscription": subscription, "deliveries_count": count}],
        columns=(
            Column(key="subscription", title="SUBSCRIPTION"),
            Column(key="deliveries_count", title="DELIVERIES", right=True),
        ),
        single=True,
    )


def _event_row(event: "Event") -> Row:
    return {
        "id": str(event.id),
        "sequence": event.sequence,
        "at": event.at,
        "kind": event.kind,
        "subject": event.subject,
        "why": _why(event.data),
        "data": event.data,
    }


def _why(data: "Mapping[str, object]") -> str | None:
    """The summary of an event, else its code and reason, in one short line."""
    parts = [data.get("summary")] if data.get("summary") else [data.get("code"), data.get("reason")]
    text = ": ".join(str(part) for part in parts if part)
    return one_line(text, limit=80) if text else None


def _delivery_row(delivery: "Delivery") -> Row:
    return {
        "event_id": str(delivery.event.id),
        "sequence": delivery.event.sequence,
        "kind": delivery.event.kind,
        "subject": delivery.event.subject,
        "subscription": delivery.subscription,
        "state": str(delivery.state),
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "delivered_at": delivery.delivered_at,
        "last_error": delivery.last_error,
    }
