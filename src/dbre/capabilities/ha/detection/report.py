"""What one observer saw in one round, as it is stored; ages are by its own monotonic clock, so that no other clock matters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dbre.ports.topology import Contact, LogPosition

__all__ = ["NodeWord", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWord:
    """One node, as the observer reached it or failed to."""

    contact: Contact
    is_writable: bool = False
    is_receiving: bool = False  # a stream from somebody is connected
    upstream: str | None = None  # whom it follows; None: nobody, or somebody outside of the inventory
    position: LogPosition | None = None  # replica: the furthest that it has, received or applied
    timeline: int | None = None
    system_id: str | None = None
    gives_up_seconds: float | None = None  # replica: how long it believes in a silent upstream; 0: for ever
    answer_seconds: float | None = None  # 99 of 100 of its last answers took no longer; None: there was none

    def as_document(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "contact": self.contact.value,
            "is_writable": self.is_writable,
            "is_receiving": self.is_receiving,
            "upstream": self.upstream,
            "position": _position_document(self.position),
            "timeline": self.timeline,
            "system_id": self.system_id,
            "gives_up_seconds": self.gives_up_seconds,
            "answer_seconds": self.answer_seconds,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The opposite of ``as_document``. Raises: TypeError, ValueError, KeyError, AttributeError for what is none."""
        return cls(
            contact=Contact(document["contact"]),
            is_writable=_flag(document["is_writable"]),
            is_receiving=_flag(document["is_receiving"]),
            upstream=_text(document["upstream"]),
            position=_position(document["position"]),
            timeline=_count(document["timeline"]),
            system_id=_text(document["system_id"]),
            gives_up_seconds=_seconds(document["gives_up_seconds"]),
            answer_seconds=_seconds(document.get("answer_seconds")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One round of one observer."""

    cluster: str
    observer: str
    marker: str  # another one in each round and each run: whoever reads it counts the age from its change
    primary: str | None  # who it is, or was when somebody last was; None: never seen
    nodes: Mapping[str, NodeWord]
    unheard_seconds: float | None = None  # since the primary gave the last sign of life; None: not once in this run
    primary_position: LogPosition | None = None  # the last that the primary told
    primary_told_seconds: float | None = None  # how long ago that was
    primary_timeline: int | None = None
    primary_system: str | None = None
    synchronous: tuple[str, ...] = ()  # whom commits waited for when the primary last told
    synchronous_needed: int = 0  # how many of them
    wanted_seconds: float = 0.0  # so long a silence must last before it means anything here: shorter ones lately ended

    @property
    def contact(self) -> Contact:
        """How the primary was reached."""
        word = self.nodes.get(self.primary) if self.primary is not None else None
        return word.contact if word is not None else Contact.UNKNOWN

    @property
    def is_isolated(self) -> bool:
        """Whether no node at all gave a sign of life: then it says nothing of the primary."""
        return not any(one.contact.is_alive for one in self.nodes.values())

    def as_document(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "primary": self.primary,
            "nodes": {name: one.as_document() for name, one in self.nodes.items()},
            "unheard_seconds": self.unheard_seconds,
            "primary_position": _position_document(self.primary_position),
            "primary_told_seconds": self.primary_told_seconds,
            "primary_timeline": self.primary_timeline,
            "primary_system": self.primary_system,
            "synchronous": list(self.synchronous),
            "synchronous_needed": self.synchronous_needed,
            "wanted_seconds": self.wanted_seconds,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, cluster: str, observer: str, marker: str) -> Self:
        """The opposite of ``as_document``. Raises: TypeError, ValueError, KeyError, AttributeError for what is none."""
        return cls(
            cluster=cluster,
            observer=observer,
            marker=marker,
            primary=_text(document["primary"]),
            nodes={_named(name): NodeWord.from_document(one) for name, one in document["nodes"].items()},
            unheard_seconds=_seconds(document["unheard_seconds"]),
            primary_position=_position(document["primary_position"]),
            primary_told_seconds=_seconds(document["primary_told_seconds"]),
            primary_timeline=_count(document["primary_timeline"]),
            primary_system=_text(document["primary_system"]),
            synchronous=_names(document["synchronous"]),
            synchronous_needed=_count(document["synchronous_needed"]) or 0,
            wanted_seconds=_seconds(document["wanted_seconds"]) or 0.0,
        )


def _position_document(position: LogPosition | None) -> dict[str, Any] | None:
    if position is None:
        return None
    sequences = dict(position.sequences) if position.sequences is not None else None
    return {"text": position.text, "offset": position.offset, "sequences": sequences}


def _position(document: Mapping[str, Any] | None) -> LogPosition | None:
    if document is None:
        return None
    sequences = document["sequences"]
    known = {_named(name): _whole(number) for name, number in sequences.items()} if sequences is not None else None
    return LogPosition(text=_named(document["text"]), offset=_count(document["offset"]), sequences=known)


def _text(value: object) -> str | None:
    return None if value is None else _named(value)


def _named(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text should be")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list should be")
    return tuple(_named(one) for one in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where yes or no should be")
    return value


def _count(value: object) -> int | None:
    return None if value is None else _whole(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where a whole number should be")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where seconds should be")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{value} where seconds should be")
    return float(value)
