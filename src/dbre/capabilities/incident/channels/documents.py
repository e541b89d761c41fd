"""The section ``channels`` of ``dbre.yaml``: the ways in which people are told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dbre.capabilities.incident.documents import check_url
from dbre.core.config import Document, Duration, FilePath, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.gates.calendar import Calendar, time_zone
from dbre.core.gates.document import WhenDocument
from dbre.core.selector import Selector

__all__ = [
    "CHANNELS",
    "AlertmanagerDocument",
    "AwsDocument",
    "ChannelDocument",
    "DiscordDocument",
    "EmailDocument",
    "HttpDocument",
    "Mailbox",
    "PagerDutyDocument",
    "QuietHoursDocument",
    "SesDocument",
    "SlackDocument",
    "SnsDocument",
    "TeamsDocument",
    "TimeZone",
    "WebhookDocument",
]

Url = Annotated[str, AfterValidator(check_url)]


def _zone(name: str) -> str:
    time_zone(name)
    return name


def _selector(labels: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    Selector.of(labels)
    return labels


def _mailbox(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or len(text) > 254 or any(ord(one) <= 32 or one in '<>,;:"\\' for one in text):
        raise UsageError("not the address of a mailbox", hint="write name@example.com")
    return text


TimeZone = Annotated[str, AfterValidator(_zone)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]


class QuietHoursDocument(Document):
    """Hours in which tickets wait; pages never do."""

    when: list[WhenDocument] = Field(min_length=1, max_length=20, description="times; tickets wait in any of them")
    time_zone: TimeZone = Field(default="UTC", max_length=100, description="IANA name of the zone in which `when` is meant")

    def calendars(self) -> tuple[Calendar, ...]:
        """The times."""
        return tuple(one.calendar(self.time_zone) for one in self.when)


class _Channel(Document):
    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="stays the same over time: deliveries are remembered by it"
    )
    urgencies: list[Literal["page", "ticket"]] = Field(
        default=["page", "ticket"], min_length=1, description="what is told: page, ticket"
    )
    selector: Annotated[dict[str, str | list[str]], AfterValidator(_selector)] = Field(
        default={}, description="labels of the clusters of which is told; none: all"
    )
    is_broadcast: bool = Field(
        default=True, description="false: tells only those whom an escalation names, not everything that happens"
    )
    is_fallback: bool = Field(default=False, description="told when another channel gave a message up")
    quiet_hours: QuietHoursDocument | None = Field(default=None, description="when tickets wait")
    storm_limit: int = Field(
        default=20, ge=1, le=10_000, description="messages a minute; what exceeds them is told as one summary"
    )
    timeout: Annotated[Duration, between("100ms", "60s")] = Field(timedelta(seconds=10), description="of one attempt")


class HttpDocument(_Channel):
    """What every channel over HTTP has."""

    allow_loopback: bool = Field(default=False, description="the service runs on this machine")
    allow_private: bool = Field(default=False, description="the service has an address of a private network")
    tls_ca_file: FilePath | None = Field(
        default=None, description="authorities that vouch for the service; default the system's"
    )


class AlertmanagerDocument(HttpDocument):
    """A Prometheus Alertmanager, API v2; several URLs are the members of one cluster, and each is told."""

    kind: Literal["alertmanager"]
    urls: list[Url] = Field(min_length=1, max_length=10, description="http://alertmanager:9093")
    token: SecretReference | None = Field(default=None, description="sent as Authorization: Bearer")
    resend_interval: Annotated[Duration, between("1s", "60s")] = Field(
        timedelta(seconds=30), description="how often what fires is told again; it ends there after four times this without us"
    )
    labels: dict[str, str] = Field(default={}, description="added to every alert")


class PagerDutyDocument(HttpDocument):
    """PagerDuty, Events API v2."""

    kind: Literal["pagerduty"]
    routing_key: SecretReference = Field(description="integration key of the service")
    url: Url = Field(
        default="https://events.pagerduty.com/v2/enqueue", description="https://events.eu.pagerduty.com/v2/enqueue"
    )


class SlackDocument(HttpDocument):
    """Slack: an app with a token, or an incoming webhook, which can neither follow a thread nor change a message."""

    kind: Literal["slack"]
    token: SecretReference | None = Field(default=None, description="bot token with chat:write")
    channel: str = Field(default="", max_length=100, description="id of the channel that the app writes to: C024BE91L")
    webhook_url: SecretReference | None = Field(default=None, description="instead of token and channel")
    url: Url = Field(default="https://slack.com/api", description="of the Web API")
    has_buttons: bool = Field(default=False, description="show buttons, which Slack sends to /hooks/slack (section incidents)")


class TeamsDocument(HttpDocument):
    """Microsoft Teams: the webhook of a workflow."""

    kind: Literal["teams"]
    webhook_url: SecretReference = Field(description="of the workflow that posts to the channel")


class DiscordDocument(HttpDocument):
    """Discord: the webhook of a channel."""

    kind: Literal["discord"]
    webhook_url: SecretReference = Field(description="of the channel")


class AwsDocument(HttpDocument):
    """What every channel at AWS has."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$", description="eu-west-1")
    access_key_id: SecretReference = Field(description="of a user that may only send")
    secret_access_key: SecretReference = Field(description="its secret")
    session_token: SecretReference | None = Field(default=None, description="of temporary credentials")
    url: Url | None = Field(default=None, description="default: the service's own in the region")


class SnsDocument(AwsDocument):
    """Amazon SNS: a topic; people named by an escalation get text messages."""

    kind: Literal["sns"]
    topic_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$",
        description="the topic",
    )


class SesDocument(AwsDocument):
    """Amazon SES, API v2."""

    kind: Literal["ses"]
    sender: Mailbox = Field(description="a verified address")
    recipients: list[Mailbox] = Field(default=[], max_length=50, description="who gets everything")


class EmailDocument(_Channel):
    """E-mail through your own relay."""

    kind: Literal["email"]
    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$", description="of the relay")
    port: int = Field(default=587, ge=1, le=65_535, description="587 with starttls, 465 with tls, 25 with none")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="none only without a password")
    user: str | None = Field(default=None, max_length=255, description="who logs in")
    password: SecretReference | None = Field(default=None, description="of the user")
    sender: Mailbox = Field(description="From:")
    recipients: list[Mailbox] = Field(default=[], max_length=50, description="who gets everything")
    tls_ca_file: FilePath | None = Field(default=None, description="authorities that vouch for the relay")


class WebhookDocument(HttpDocument):
    """Your own HTTP endpoint, signed as receivers are (Standard Webhooks)."""

    kind: Literal["webhook"]
    url: Url = Field(max_length=2_000, description="where notices are posted to")
    secret: SecretReference = Field(description="what signs: whsec_ and base64, or any text of 16 bytes or more")


ChannelDocument = Annotated[
    AlertmanagerDocument
    | PagerDutyDocument
    | SlackDocument
    | TeamsDocument
    | DiscordDocument
    | SnsDocument
    | SesDocument
    | EmailDocument
    | WebhookDocument,
    Field(discriminator="kind"),
]
"""One way to people."""


def _faults(documents: Any) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        if not isinstance(one, dict):
            continue
        name = one.get("name")
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another channel has the name {name}", hint="rename one of them")
        if isinstance(name, str):
            seen.add(name)
        for key, message, hint in _contradictions(one):
            yield Fault(path=(index, key), message=message, hint=hint)


def _contradictions(one: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    kind = one.get("kind")
    if kind == "slack" and ("webhook_url" in one) == ("token" in one):
        yield (
            "kind",
            "a Slack channel has either a token or a webhook_url",
            "with a token, messages of an incident are a thread",
        )
    if kind == "slack" and "token" in one and not one.get("channel") and one.get("is_broadcast", True):
        yield "kind", "a Slack channel with a token writes to no channel", "write channel: C024BE91L, or is_broadcast: false"
    if kind == "email" and ("user" in one) != ("password" in one):
        yield "kind", "user and password go together", "give both, or none"
    if kind == "email" and "password" in one and one.get("security") == "none":
        yield "security", "a password is not sent in the clear", "write starttls or tls"
    if kind in ("email", "ses") and not one.get("recipients") and one.get("is_broadcast", True):
        yield "kind", "e-mail without recipients reaches nobody", "write recipients, or is_broadcast: false"
    if kind == "sns" and "topic_arn" not in one and one.get("is_broadcast", True):
        yield "kind", "SNS without a topic reaches nobody", "write topic_arn, or is_broadcast: false"


CHANNELS: Section[tuple[ChannelDocument, ...]] = Section(
    key="channels",
    shape=tuple[ChannelDocument, ...],
    default=tuple,
    summary="how people are told: Alertmanager, PagerDuty, Slack, Teams, Discord, SNS, SES, e-mail, webhooks",
    faults=_faults,
)
