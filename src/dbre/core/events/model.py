"""Events, who wants them, and the record of bringing them there."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.core.events.backoff import Backoff

__all__ = ["DELIVERY_DEAD", "Delivery", "DeliveryState", "Draft", "Event", "Handler", "Subscription"]

DELIVERY_DEAD = "core.delivery_dead"
"""Kind of the event that says that another event could not be delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. ``id`` is the idempotency key of its delivery; ``sequence`` orders the events of a store."""

    id: UUID
    sequence: int
    kind: str  # dotted, lower case: slo.alert_fired
    subject: str  # what it happened to: a cluster, an SLO, an operation; may hold any character
    at: datetime  # UTC
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that has happened and is not stored yet; it keeps its ``id`` and its moment however often it is written."""

    id: UUID
    kind: str
    subject: str
    at: datetime  # UTC
    data: Mapping[str, Any]


Handler = Callable[[Event], Awaitable[None]]
"""Brings one event to its receiver; returns once the receiver has it, raises otherwise. May get an event more than once."""


class DeliveryState(StrEnum):
    """How far the delivery of one event to one subscription has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # given up after the last attempt; ``dbre events replay`` tries again


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The record of bringing one event to one subscription."""

    event: Event
    subscription: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None  # None: at once, or never again
    last_error: str | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who wants which events. ``name`` is stored with each delivery: it stays the same over restarts.

    ``kinds`` holds kinds, ``slo.*`` for all of an area, or ``*`` for all.
    """

    name: str
    kinds: tuple[str, ...]
    handler: Handler
    backoff: Backoff = field(default_factory=Backoff)
    timeout_seconds: float = 30.0  # of one attempt

    def wants(self, kind: str) -> bool:
        """Whether an event of that kind is for this subscription."""
        return any(one in ("*", kind) or (one.endswith(".*") and kind.startswith(one.removesuffix("*"))) for one in self.kinds)
