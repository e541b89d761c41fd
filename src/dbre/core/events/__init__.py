"""Things that happened: stored in the transaction that made them happen, delivered at least once, replayable."""

from dbre.core.events.backoff import Backoff
from dbre.core.events.buffer import EventBuffer
from dbre.core.events.delivery import EventDelivery
from dbre.core.events.errors import DeliveryPostponed, DeliveryRefused
from dbre.core.events.history import ReplaySelection, deliveries, recent, replay
from dbre.core.events.log import EventLog
from dbre.core.events.metrics import EventMetrics
from dbre.core.events.model import DELIVERY_DEAD, Delivery, DeliveryState, Event, Handler, Subscription
from dbre.core.events.registration import SubscriptionStatus, require_subscription, subscriptions
from dbre.core.events.retention import prune

__all__ = [
    "DELIVERY_DEAD",
    "Backoff",
    "Delivery",
    "DeliveryPostponed",
    "DeliveryRefused",
    "DeliveryState",
    "Event",
    "EventBuffer",
    "EventDelivery",
    "EventLog",
    "EventMetrics",
    "Handler",
    "ReplaySelection",
    "Subscription",
    "SubscriptionStatus",
    "deliveries",
    "prune",
    "recent",
    "replay",
    "require_subscription",
    "subscriptions",
]
