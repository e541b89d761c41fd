"""What people are told, before it takes the form of one service's message."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = ["Channel", "Notice", "NoticeKind", "Receipt", "Urgency"]


class NoticeKind(StrEnum):
    """Why somebody is told."""

    OPENED = "opened"  # an incident, or an alert that opens none
    UPDATED = "updated"  # a note, another alert of the same incident, another state
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"  # nobody answered
    RESOLVED = "resolved"
    DIGEST = "digest"  # many at once
    APPROVAL = "approval"  # an operation waits for consent
    TEST = "test"


class Urgency(StrEnum):
    """Whether it may wait for the morning."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message. ``id`` is its idempotency key at every channel; ``thread`` is what belongs together: the incident or alert.

    All text is plain and hostile (names and errors of databases are in it): each channel escapes it in its own way.
    """

    id: str
    kind: NoticeKind
    urgency: Urgency
    thread: str
    title: str
    text: str
    at: datetime
    cluster: str = ""
    slo: str = ""
    severity: str = ""  # sev1 .. sev4
    facts: tuple[tuple[str, str], ...] = ()  # name and value, in the order of their weight
    link: str = ""  # the page of the incident; empty where the control plane's address is not configured
    started_at: datetime | None = None
    ended_at: datetime | None = None
    buttons: tuple[tuple[str, str], ...] = ()  # what may be done about it where it is read: act and argument
    recipients: tuple[str, ...] = ()  # contacts within the channel (addresses, user ids); empty: the channel's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a channel remembers of a thread, so that the next message updates or follows it; stored with the delivery."""

    reference: str  # Slack: channel and ts; PagerDuty: dedup key


class Channel(Protocol):
    """One configured way to people."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Bring one notice; ``earlier`` is the newest receipt of the same thread.

        Raises: DeliveryRefused (another attempt would not help), DeliveryPostponed (the service named a time), Unreachable.
        """
        ...
