"""Notices that are not of one event of an incident: escalations, summaries, messages that another channel gave up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
from dbre.capabilities.incident.notices import notices_of
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED
from dbre.core.events import Event
from dbre.core.text import counted, one_line, printable

__all__ = ["DIGEST", "digest_data", "digest_notice", "escalation_notice", "fallback_notice"]

DIGEST = "notice.digest"
"""Kind of the event that brings held notices to the channel that is its subject."""

_LISTED = 40
_REASONS = {
    "level": "Nobody has acknowledged this yet.",
    "acknowledgement_expired": "It was acknowledged, but is not over; it is escalated again.",
    "nobody_on_call": "NOBODY IS ON CALL for this incident: no schedule and no level names anybody now.",
    "exhausted": "Everybody was told as often as the policy says, and NOBODY ANSWERED.",
}
_WHY = {"quiet": "came while tickets wait", "storm": "came at once and were held back"}


def escalation_notice(event: Event, *, base_url: str) -> Notice | None:
    """What the people of one step are told."""
    whole = replace(event, kind="incident.updated")
    notice = notices_of(whole, base_url=base_url)
    step = event.data.get("step")
    if notice is None or not isinstance(step, Mapping):
        return None
    reason = str(step.get("reason"))
    people = ", ".join(str(one) for one in step.get("people") or ())
    told = (("told", people),) if people else ()
    where = (("level", f"{step.get('level')}, round {step.get('round')} of policy {step.get('policy')}"),)
    return replace(
        notice,
        kind=NoticeKind.ESCALATED,
        urgency=Urgency.PAGE,
        title=one_line(f"{event.data.get('name')} needs you: {event.data.get('title')}", limit=200),
        text=_REASONS.get(reason, _REASONS["level"]),
        facts=(*told, *where, *notice.facts),
    )


def digest_data(channel: str, reason: str, held: Sequence[Notice]) -> dict[str, Any]:
    """The data of the event that brings held notices: the newest of each thread."""
    newest: dict[str, Notice] = {}
    for one in held:
        newest.pop(one.thread, None)
        newest[one.thread] = one
    items = [{"title": one.title, "kind": one.kind.value, "link": one.link} for one in newest.values()]
    is_page = any(one.urgency is Urgency.PAGE and one.kind is not NoticeKind.RESOLVED for one in held)
    return {
        "channel": channel,
        "reason": reason,
        "urgency": (Urgency.PAGE if is_page else Urgency.TICKET).value,
        "notice_count": len(held),
        "thread_count": len(newest),
        "over_count": sum(one.kind is NoticeKind.RESOLVED for one in newest.values()),
        "items": items[:_LISTED],
    }


def digest_notice(event: Event) -> Notice:
    """The summary of held notices."""
    data = event.data
    threads, over = int(data["thread_count"]), int(data["over_count"])
    lines = [f"- {one_line(str(one['title']), limit=160)}" for one in data["items"]]
    if threads > len(lines):
        lines.append(f"- and {threads - len(lines)} more")
    why = _WHY.get(str(data["reason"]), "were held back")
    return Notice(
        id=str(event.id),
        kind=NoticeKind.DIGEST,
        urgency=Urgency(data["urgency"]),
        thread=str(event.id),
        title=f"{counted(int(data['notice_count']), 'message')} {why}: {counted(threads, 'subject')}, {over} over already",
        text="\n".join(lines),
        at=event.at,
    )


def _notice_of(event: Event, base_url: str) -> Notice | None:
    """What the other channel was to tell."""
    if event.kind == ESCALATED:
        return escalation_notice(event, base_url=base_url)
    return digest_notice(event) if event.kind == DIGEST else notices_of(event, base_url=base_url)


def fallback_notice(event: Event, original: Event | None, *, base_url: str) -> Notice:
    """What the fallback channel is told when another gave a message up."""
    data = event.data
    notice = None if original is None else _notice_of(original, base_url)
    who = printable(event.subject, limit=100)
    told = f"{data.get('event_kind')} of {data.get('event_subject')}" if notice is None else notice.title
    return Notice(
        id=str(event.id),
        kind=NoticeKind.OPENED,
        urgency=Urgency.PAGE if notice is None else notice.urgency,
        thread=str(data.get("event_id") or event.id),
        title=one_line(f"{who} did not get: {told}", limit=200),
        text=one_line(str(data.get("last_error") or ""), limit=500) + ("" if notice is None else f"\n\n{notice.text}"),
        at=event.at,
        cluster="" if notice is None else notice.cluster,
        facts=(("attempts", str(data.get("attempts"))), ("replay", f"dbre events replay {who}")),
        link="" if notice is None else notice.link,
    )
