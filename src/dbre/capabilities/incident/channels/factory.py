"""From the configuration of a channel to the channel."""

from collections.abc import Callable
from typing import Any

from dbre.capabilities.incident.channels.aws import SesChannel, SnsChannel
from dbre.capabilities.incident.channels.discord import DiscordChannel
from dbre.capabilities.incident.channels.documents import AlertmanagerDocument, ChannelDocument
from dbre.capabilities.incident.channels.mail import EmailChannel
from dbre.capabilities.incident.channels.pagerduty import PagerDutyChannel
from dbre.capabilities.incident.channels.signed_webhook import SignedWebhookChannel
from dbre.capabilities.incident.channels.slack import SlackChannel
from dbre.capabilities.incident.channels.teams import TeamsChannel
from dbre.capabilities.incident.notice import Channel
from dbre.core.clock import Clock

__all__ = ["channel_of"]

_KINDS: dict[str, Callable[[Any, Clock], Channel]] = {
    "pagerduty": PagerDutyChannel,
    "slack": SlackChannel,
    "teams": TeamsChannel,
    "discord": DiscordChannel,
    "sns": SnsChannel,
    "ses": SesChannel,
    "email": EmailChannel,
    "webhook": SignedWebhookChannel,
}


def channel_of(document: ChannelDocument, clock: Clock) -> Channel | None:
    """The channel; None for an Alertmanager, which gets alerts as they are instead of notices."""
    if isinstance(document, AlertmanagerDocument):
        return None
    return _KINDS[document.kind](document, clock)
