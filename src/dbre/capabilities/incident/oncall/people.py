"""Contacts, schedules and policies of a configuration, as the rest works with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.incident.oncall.documents import ContactDocument, DutyDocument, OnCallDocument, PolicyDocument
from dbre.capabilities.incident.oncall.escalation import Level, Policy
from dbre.capabilities.incident.oncall.shifts import Layer, Schedule
from dbre.core.errors import UsageError
from dbre.core.gates.calendar import time_zone
from dbre.core.selector import Selector
from dbre.core.text import closest, printable, quoted

__all__ = ["Directory", "Unknown", "directory_of", "schedule_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A name in a schedule or level that no contact bears."""

    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.where} names {printable(self.name, limit=63)}, whom contacts: does not have"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Everybody who can be told, and by which rules."""

    contacts: Mapping[str, ContactDocument]
    schedules: Mapping[str, Schedule]
    policies: tuple[Policy, ...]

    def addresses(self, people: Sequence[str], kind: str) -> tuple[str, ...]:
        """Where those people are reached by a channel of a kind; who has no such address is left out."""
        found = (_address(self.contacts[one], kind) for one in people if one in self.contacts)
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def schedule(self, name: str) -> Schedule:
        """The schedule of that name. Raises: UsageError with a did-you-mean."""
        if name not in self.schedules:
            near = closest(name, list(self.schedules))
            hint = f"did you mean {near}?" if near else "schedules stand under oncall: schedules: in dbre.yaml"
            raise UsageError(f"there is no schedule {quoted(name, limit=63)}", hint=hint)
        return self.schedules[name]

    def contact(self, name: str) -> ContactDocument:
        """The contact of that name. Raises: UsageError with a did-you-mean."""
        if name not in self.contacts:
            near = closest(name, list(self.contacts))
            hint = f"did you mean {near}?" if near else "people stand under contacts: in dbre.yaml"
            raise UsageError(f"there is no contact {quoted(name, limit=63)}", hint=hint)
        return self.contacts[name]

    def policy_for(self, labels: Mapping[str, str], severity: str) -> Policy | None:
        """The first policy that fits an incident."""
        return next((one for one in self.policies if one.fits(labels, severity)), None)

    def unknown(self) -> tuple[Unknown, ...]:
        """Names that nobody bears, over all schedules and levels."""
        places = [
            (f"layer {layer.name} of schedule {one.name}", layer.people)
            for one in self.schedules.values()
            for layer in one.layers
        ]
        places += [
            (f"level {number} of policy {one.name}", level.people)
            for one in self.policies
            for number, level in enumerate(one.levels, 1)
        ]
        return tuple(Unknown(where=where, name=name) for where, names in places for name in names if name not in self.contacts)


def directory_of(contacts: tuple[ContactDocument, ...], oncall: OnCallDocument) -> Directory:
    """What a configuration says of people."""
    return Directory(
        contacts={one.name: one for one in contacts},
        schedules={one.name: schedule_of(one) for one in oncall.schedules},
        policies=tuple(_policy(one) for one in oncall.policies),
    )


def schedule_of(document: DutyDocument) -> Schedule:
    """One schedule."""
    layers = tuple(
        Layer(
            name=one.name,
            people=tuple(one.people),
            starts=datetime.fromisoformat(one.starts),
            every=one.every,
            only=tuple(when.calendar(document.time_zone) for when in one.only),
        )
        for one in document.layers
    )
    return Schedule(name=document.name, zone=time_zone(document.time_zone), layers=layers)


def _policy(document: PolicyDocument) -> Policy:
    levels = tuple(
        Level(
            schedules=tuple(one.schedules),
            people=tuple(one.people),
            channels=tuple(one.channels),
            is_round_robin=one.is_round_robin,
            wait=one.wait,
        )
        for one in document.levels
    )
    acknowledged_for: timedelta | None = document.acknowledged_for
    return Policy(
        name=document.name,
        selector=Selector.of(document.selector),
        severities=tuple(document.severities),
        levels=levels,
        repeat=document.repeat,
        acknowledged_for=acknowledged_for,
    )


def _address(contact: ContactDocument, kind: str) -> str | None:
    return {
        "email": contact.email,
        "ses": contact.email,
        "slack": contact.slack,
        "discord": contact.discord,
        "sns": contact.phone,
    }.get(kind)
