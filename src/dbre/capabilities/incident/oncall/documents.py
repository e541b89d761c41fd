"""The sections ``contacts`` and ``oncall`` of ``dbre.yaml``: people, and who of them is told when."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dbre.capabilities.incident.channels.documents import Mailbox, TimeZone
from dbre.capabilities.incident.documents import check_url
from dbre.core.config import Document, Duration, Name, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.gates.document import SelectorLabels, WhenDocument
from dbre.core.text import closest, printable

__all__ = [
    "CONTACTS",
    "ONCALL",
    "AlertmanagerWebhookDocument",
    "ContactDocument",
    "DutyDocument",
    "HeartbeatDocument",
    "LayerDocument",
    "LevelDocument",
    "OnCallDocument",
    "PolicyDocument",
]

_HOUR = timedelta(hours=1)


def _check_handoff(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("not a moment", hint='write "2026-01-05T09:00", local time of the schedule') from None
    if moment.tzinfo is not None:
        raise UsageError("a handoff is local time of the schedule and has no offset", hint='write "2026-01-05T09:00"')
    return text


def _check_every(every: timedelta) -> timedelta:
    if every % _HOUR:
        raise UsageError("shifts last whole hours", hint="write 12h, 1d or 1w")
    return every


class ContactDocument(Document):
    """A person who can be told. What is not given cannot be used."""

    name: Name = Field(description="how schedules and levels name this person")
    identity: Name | None = Field(default=None, description="name of the identity that acts for this person; default: name")
    email: Mailbox | None = Field(default=None, description="for channels of kind email and ses")
    slack: str | None = Field(default=None, pattern=r"^[UW][A-Z0-9]{2,30}$", description="member id: U012AB3CD")
    discord: str | None = Field(default=None, pattern=r"^[0-9]{5,25}$", description="user id")
    phone: str | None = Field(
        default=None, pattern=r"^\+[1-9][0-9]{6,14}$", description="for text messages by sns: +34600000000"
    )


class LayerDocument(Document):
    """People who take turns. A later layer covers the earlier ones where it has somebody."""

    name: Name = Field(description="shown beside the person: primary, weekend")
    people: list[Name] = Field(min_length=1, max_length=100, description="contacts, in the order of their turns")
    starts: Annotated[str, AfterValidator(_check_handoff)] = Field(
        description="when the first person's first shift begins, local time of the schedule", examples=["2026-01-05T09:00"]
    )
    every: Annotated[Duration, between("1h", "365d"), AfterValidator(_check_every)] = Field(
        timedelta(weeks=1), description="length of a shift by the clock on the wall: 12h, 1d, 1w"
    )
    only: list[WhenDocument] = Field(default=[], max_length=20, description="times in which the layer counts; default: always")


class DutyDocument(Document):
    """Who is on call when."""

    name: Name = Field(description="name of the schedule")
    time_zone: TimeZone = Field(default="UTC", max_length=100, description="whose clocks: Europe/Madrid")
    layers: list[LayerDocument] = Field(min_length=1, max_length=20, description="from the lowest to the highest")


class LevelDocument(Document):
    """Who is told next."""

    schedules: list[Name] = Field(default=[], max_length=20, description="whoever is on call there")
    people: list[Name] = Field(default=[], max_length=100, description="contacts")
    channels: list[Name] = Field(default=[], max_length=20, description="by which channels; default: all that reach them")
    is_round_robin: bool = Field(default=False, description="tell one of them, each incident the next")
    wait: Annotated[Duration, between("10s", "24h")] = Field(
        timedelta(minutes=5), description="how long they have to acknowledge before the next level is told"
    )


class PolicyDocument(Document):
    """How an incident that pages is escalated until somebody acknowledges it."""

    name: Name = Field(description="name of the policy")
    selector: SelectorLabels = Field(default_factory=dict, description="which clusters; the first policy that fits counts")
    severities: list[Literal["sev1", "sev2", "sev3", "sev4"]] = Field(
        default=["sev1", "sev2", "sev3", "sev4"], min_length=1, description="which incidents"
    )
    levels: list[LevelDocument] = Field(min_length=1, max_length=20, description="from the first to be told to the last")
    repeat: int = Field(default=2, ge=0, le=100, description="how often it begins again when nobody answers")
    acknowledged_for: Annotated[Duration, between("1m", "30d")] | None = Field(
        default=None, description="an incident that is not over this long after it was acknowledged is escalated again"
    )


class HeartbeatDocument(Document):
    """A dead man's switch: a service that raises the alarm when this control plane is not heard of."""

    url: SecretReference = Field(description="what is asked by POST while all is well; the address is the secret")
    interval: Annotated[Duration, between("10s", "1h")] = Field(timedelta(minutes=1), description="how often")
    timeout: Annotated[Duration, between("100ms", "60s")] = Field(timedelta(seconds=10), description="of one attempt")
    allow_loopback: bool = Field(default=False, description="the service runs on this machine")
    allow_private: bool = Field(default=False, description="the service has an address of a private network")


class AlertmanagerWebhookDocument(Document):
    """What an Alertmanager may tell us, at /hooks/alertmanager."""

    token: SecretReference = Field(description="what it sends as Authorization: Bearer, 16 characters or more")
    stale_after: Annotated[Duration, between("5m", "30d")] = Field(
        timedelta(hours=9), description="an alert that is not told again this long is over; more than twice repeat_interval"
    )


class OnCallDocument(Document):
    """Who is on call, who is told next, and who watches dbre."""

    schedules: list[DutyDocument] = Field(default=[], description="who is on call when")
    policies: list[PolicyDocument] = Field(default=[], description="who is told when nobody answers")
    base_url: Annotated[str, AfterValidator(check_url)] | None = Field(
        default=None, description="where people reach the control plane; links of messages begin with it"
    )
    heartbeat: HeartbeatDocument | None = Field(default=None, description="the dead man's switch")
    alertmanager_webhook: AlertmanagerWebhookDocument | None = Field(default=None, description="alerts from an Alertmanager")


def _names_once(what: str, documents: Any, way: tuple[str | int, ...]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Fault(path=(*way, index, "name"), message=f"another {what} has the name {name}", hint="rename one of them")
        seen.add(name)


def _oncall_faults(document: Any) -> Iterator[Fault]:
    if not isinstance(document, dict):
        return
    yield from _names_once("schedule", document.get("schedules"), ("schedules",))
    yield from _names_once("policy", document.get("policies"), ("policies",))
    duties = document.get("schedules")
    known = [one["name"] for one in duties if _is_named(one)] if isinstance(duties, list) else []
    policies = document.get("policies")
    for index, policy in enumerate(policies if isinstance(policies, list) else ()):
        levels = policy.get("levels") if isinstance(policy, dict) else None
        for at, level in enumerate(levels if isinstance(levels, list) else ()):
            if isinstance(level, dict):
                yield from _level_faults(level, ("policies", index, "levels", at), known)


def _level_faults(level: dict[str, Any], way: tuple[str | int, ...], known: list[str]) -> Iterator[Fault]:
    schedules = level.get("schedules", [])
    if not schedules and not level.get("people"):
        yield Fault(path=way, message="a level that tells nobody", hint="write schedules: [...] or people: [...]")
    for index, name in enumerate(schedules if isinstance(schedules, list) else ()):
        if isinstance(name, str) and name not in known:
            near = closest(name, known)
            yield Fault(
                path=(*way, "schedules", index),
                message=f"there is no schedule {printable(name, limit=63)}",
                hint=f"did you mean {near}?" if near else "schedules stand under oncall: schedules:",
            )


def _is_named(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("name"), str)


CONTACTS: Section[tuple[ContactDocument, ...]] = Section(
    key="contacts",
    shape=tuple[ContactDocument, ...],
    default=tuple,
    summary="people who can be told, and where",
    faults=lambda documents: _names_once("contact", documents, ()),
)

ONCALL: Section[OnCallDocument] = Section(
    key="oncall",
    shape=OnCallDocument,
    default=OnCallDocument,
    summary="who is on call, who is told when nobody answers, and who watches dbre",
    faults=_oncall_faults,
)
