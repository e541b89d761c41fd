"""``dbre notify``: the channels, and a test message through one of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.incident.channels.documents import ChannelDocument
    from dbre.capabilities.incident.notice import Notice

__all__ = ["app"]

app = typer.Typer(help="How people are told: channels, test messages.", no_args_is_help=True)


@app.command("list")
def list_channels(ctx: typer.Context) -> View:
    """The channels of the configuration, and whom they reach."""
    from dbre.capabilities.incident.channels.documents import CHANNELS
    from dbre.capabilities.incident.delivery.wiring import directory_from

    here = runtime(ctx)
    directory = directory_from(here.config)
    people = list(directory.contacts)
    items: list[Row] = [
        {
            "name": one.name,
            "kind": one.kind,
            "urgencies": list(one.urgencies),
            "is_broadcast": one.is_broadcast,
            "is_fallback": one.is_fallback,
            "has_quiet_hours": one.quiet_hours is not None,
            "reachable_contacts": len(directory.addresses(people, one.kind)),
        }
        for one in here.config.get(CHANNELS)
    ]
    columns = [
        Column(key="name", title="CHANNEL"),
        Column(key="kind", title="KIND"),
        Column(key="urgencies", title="TELLS", format=_joined),
        Column(key="is_broadcast", title="EVERYTHING"),
        Column(key="has_quiet_hours", title="QUIET HOURS"),
        Column(key="reachable_contacts", title="CONTACTS", right=True),
        Column(key="is_fallback", title="FALLBACK", wide=True),
    ]
    return View(kind="ChannelList", items=items, columns=columns, empty="no channel is configured: channels: in dbre.yaml")


@app.command("test")
async def send_test(
    ctx: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Name of the channel.")],
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="PERSON", help="Tell this contact instead of everybody.")] = None,
) -> View:
    """Send a test message now, past the control plane, and say what the service answered."""
    from dataclasses import replace

    from dbre.capabilities.incident.delivery.wiring import directory_from
    from dbre.core.errors import UsageError
    from dbre.core.identity.model import Permission

    here = runtime(ctx)
    principal = await here.principal()
    principal.require(Permission.OPERATE, what="test messages")
    document = _find(here, channel)
    notice = _notice(here, by=principal.name)
    if to is not None:
        directory = directory_from(here.config)
        recipients = directory.addresses([directory.contact(to).name], document.kind)
        if not recipients:
            raise UsageError(f"{to} has no address for a channel of kind {document.kind}", hint="contacts: in dbre.yaml")
        notice = replace(notice, recipients=recipients)
    began = here.clock.monotonic()
    await _deliver(here, document, notice)
    elapsed = here.clock.monotonic() - began
    row: Row = {"channel": channel, "kind": document.kind, "status": "taken", "seconds": round(elapsed, 3)}
    columns = [
        Column(key="channel", title="CHANNEL"),
        Column(key="kind", title="KIND"),
        Column(key="status", title="STATUS"),
        Column(key="seconds", title="SECONDS", right=True),
    ]
    return View(kind="NotificationTest", items=[row], columns=columns, single=True)


def _find(here: Runtime, name: str) -> "ChannelDocument":
    from dbre.capabilities.incident.channels.documents import CHANNELS
    from dbre.core.errors import UsageError
    from dbre.core.text import closest, quoted

    known = {one.name: one for one in here.config.get(CHANNELS)}
    if name not in known:
        near = closest(name, list(known))
        hint = f"did you mean {near}?" if near else "dbre notify list"
        raise UsageError(f"there is no channel {quoted(name, limit=63)}", hint=hint)
    return known[name]


def _notice(here: Runtime, *, by: str) -> "Notice":
    from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
    from dbre.core.ids import uuid7

    test_id = str(uuid7(here.clock))
    return Notice(
        id=test_id,
        kind=NoticeKind.TEST,
        urgency=Urgency.TICKET,
        thread=f"test-{test_id}",
        title="Test message of dbre",
        text="Nothing is wrong. Somebody asked whether this channel works.",
        at=here.clock.now(),
        facts=(("sent by", by),),
    )


async def _deliver(here: Runtime, document: "ChannelDocument", notice: "Notice") -> None:
    from dbre.capabilities.incident.channels.alertmanager import try_alertmanager
    from dbre.capabilities.incident.channels.documents import AlertmanagerDocument
    from dbre.capabilities.incident.channels.factory import channel_of

    channel = channel_of(document, here.clock)
    if channel is not None:
        await channel.deliver(notice, earlier=None)
    elif isinstance(document, AlertmanagerDocument):
        await try_alertmanager(document, notice, here.clock)


def _joined(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
