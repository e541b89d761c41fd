"""Everything that tells people, put together from a configuration."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.incident.channels.documents import CHANNELS, AlertmanagerDocument
from dbre.capabilities.incident.channels.factory import channel_of
from dbre.capabilities.incident.delivery.alertmanager_feed import AlertmanagerFeed
from dbre.capabilities.incident.delivery.alertmanager_receiver import AlertmanagerReceiver
from dbre.capabilities.incident.delivery.handler import ChannelHandler, DeliveryGround
from dbre.capabilities.incident.delivery.release import NoticeRelease
from dbre.capabilities.incident.oncall.documents import CONTACTS, ONCALL
from dbre.capabilities.incident.oncall.escalation_desk import EscalationDesk
from dbre.capabilities.incident.oncall.heartbeat import Heartbeat
from dbre.capabilities.incident.oncall.people import Directory, directory_of
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.events import Subscription
from dbre.core.fleet import Fleet
from dbre.core.progress import report
from dbre.core.store import Store

__all__ = ["Telling", "directory_from", "telling"]

Part = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What the control plane runs so that people are told."""

    subscriptions: Sequence[Subscription]
    parts: Mapping[str, Part]
    directory: Directory
    receiver: AlertmanagerReceiver | None  # None: no Alertmanager may tell us anything


def directory_from(config: Config) -> Directory:
    """People, schedules and policies of a configuration."""
    return directory_of(config.get(CONTACTS), config.get(ONCALL))


def telling(
    config: Config, *, store: Store, fleet: Fleet, clock: Clock, find_trouble: Callable[[], Awaitable[str | None]]
) -> Telling:
    """Put it together. ``find_trouble`` is what the dead man's switch asks before each beat."""
    oncall = config.get(ONCALL)
    directory = directory_from(config)
    for unknown in directory.unknown():
        report(f"warning: {unknown}; nobody is told in that place")
    ground = DeliveryGround(
        store=store, fleet=fleet, directory=directory, clock=clock, base_url=(oncall.base_url or "").rstrip("/")
    )
    subscriptions: list[Subscription] = []
    parts: dict[str, Part] = {}
    for document in config.get(CHANNELS):
        if isinstance(document, AlertmanagerDocument):
            feed = AlertmanagerFeed(document, ground)
            subscriptions.append(feed.subscription())
            parts[feed.name] = feed.run
        elif (channel := channel_of(document, clock)) is not None:
            subscriptions.append(ChannelHandler(channel, document, ground).subscription())
    if subscriptions:
        parts["held-notices"] = NoticeRelease(store, clock).run
    if directory.policies:
        desk = EscalationDesk(store, directory, fleet, clock)
        subscriptions.append(desk.subscription())
        parts["escalations"] = desk.run
    if oncall.heartbeat is not None:
        parts["heartbeat"] = Heartbeat(oncall.heartbeat, find_trouble, clock).run
    receiver = None
    if oncall.alertmanager_webhook is not None:
        receiver = AlertmanagerReceiver(oncall.alertmanager_webhook, store, clock)
        parts["received-alerts"] = receiver.run
    return Telling(subscriptions=subscriptions, parts=parts, directory=directory, receiver=receiver)
