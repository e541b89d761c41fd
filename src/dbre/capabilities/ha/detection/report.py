"""What one observer saw in one round, as it is stored; ages are by its own monotonic clock, so that no other clock matters."""

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
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The opposite of ``as_document``."""
        return cls(**{**document, "contact": Contact(document["contact"]), "position": _position(document["position"])})


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
        """The opposite of ``as_document``."""
        return cls(
            cluster=cluster,
            observer=observer,
            marker=marker,
            primary=document["primary"],
            nodes={name: NodeWord.from_document(one) for name, one in document["nodes"].items()},
            unheard_seconds=document["unheard_seconds"],
            primary_position=_position(document["primary_position"]),
            primary_told_seconds=document["primary_told_seconds"],
            primary_timeline=document["primary_timeline"],
            primary_system=document["primary_system"],
            synchronous=tuple(document["synchronous"]),
            synchronous_needed=document["synchronous_needed"],
            wanted_seconds=document["wanted_seconds"],
        )


def _position_document(position: LogPosition | None) -> dict[str, Any] | None:
    if position is None:
        return None
    sequences = dict(position.sequences) if position.sequences is not None else None
    return {"text": position.text, "offset": position.offset, "sequences": sequences}


def _position(document: Mapping[str, Any] | None) -> LogPosition | None:
    return None if document is None else LogPosition(**document)
