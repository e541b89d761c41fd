"""A toxic as people and programs write it: type, direction, how often, of which unit, and for how long."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from dbre.capabilities.chaos.proxy.catalogue import TYPES, ToxicType
from dbre.capabilities.chaos.proxy.errors import ToxicInvalid
from dbre.capabilities.chaos.proxy.matching import Match, match_from
from dbre.core.text import closest, quoted

__all__ = ["Stream", "Toxic", "Unit", "toxic_from"]

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_KEYS = ("name", "type", "stream", "toxicity", "attributes", "unit", "match", "ttl")
_LONGEST_TTL = 30 * 86_400.0


class Stream(StrEnum):
    """A direction, as Toxiproxy calls it."""

    UPSTREAM = "upstream"  # from the client to the server
    DOWNSTREAM = "downstream"  # from the server to the client


class Unit(StrEnum):
    """What ``toxicity`` is a share of."""

    CONNECTION = "connection"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """One toxic of one proxy."""

    name: str
    type: str
    stream: Stream
    toxicity: float
    unit: Unit
    attributes: Mapping[str, Any]
    match: Match = field(default_factory=Match)
    ttl_seconds: float | None = None  # since it was set or renewed; None: until it is removed

    def is_same_fault(self, other: "Toxic") -> bool:
        """Whether it differs in its lease at most, which those whom it hit must not notice."""
        return replace(self, ttl_seconds=None) == replace(other, ttl_seconds=None)

    def as_document(self) -> dict[str, object]:
        """As Toxiproxy writes it, and what we add."""
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream.value,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
            "unit": self.unit.value,
            "match": self.match.as_document(),
            "ttl": self.ttl_seconds,
        }


def toxic_from(document: object, *, before: Toxic | None = None) -> Toxic:
    """Read a toxic; ``before`` gives what a change leaves out. Raises: ToxicInvalid."""
    if not isinstance(document, dict):
        raise ToxicInvalid(
            "a toxic is an object with type and attributes", hint='such as {"type": "latency", "attributes": {"latency": 200}}'
        )
    unknown = [key for key in document if key not in _KEYS]
    if unknown:
        raise ToxicInvalid(f"a toxic has no key {quoted(str(unknown[0]), limit=60)}", hint=f"its keys: {', '.join(_KEYS)}")
    kind = _type(before.type if before else document.get("type"))
    unit = _choice(Unit, document.get("unit", before.unit if before else kind.units[0]), "unit")
    if unit.value not in kind.units:
        raise ToxicInvalid(f"{kind.name} has no unit {unit.value}", hint=f"its units: {', '.join(kind.units)}")
    stream = _choice(Stream, document.get("stream", before.stream if before else Stream.DOWNSTREAM) or "downstream", "stream")
    name = document.get("name") or (before.name if before else f"{kind.name}_{stream.value}")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ToxicInvalid(
            f"{quoted(str(name), limit=120)} is no name of a toxic", hint="letters, digits, . _ : - and at most 100 of them"
        )
    given = document.get("attributes") or {}
    match = match_from(document["match"]) if "match" in document else before.match if before else Match()
    if unit is Unit.CONNECTION and match != Match():
        raise ToxicInvalid(
            "match chooses queries, and this toxic is of connections", hint="give unit: query, or leave match out"
        )
    ttl = document.get("ttl", before.ttl_seconds if before else None)
    return Toxic(
        name=name,
        type=kind.name,
        stream=stream,
        toxicity=_number(document.get("toxicity", before.toxicity if before else 1.0), "toxicity", 0.0, 1.0),
        unit=unit,
        attributes=_attributes(kind, given, dict(before.attributes) if before else {}),
        match=match,
        ttl_seconds=None if ttl is None else _number(ttl, "ttl", 0.001, _LONGEST_TTL),
    )


def _type(name: object) -> ToxicType:
    if isinstance(name, str) and name in TYPES:
        return TYPES[name]
    near = closest(str(name), TYPES) if isinstance(name, str) else None
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(TYPES)}"
    raise ToxicInvalid(f"there is no toxic of type {quoted(str(name), limit=60)}", hint=hint)


def _choice(choices: type, value: object, what: str) -> Any:
    try:
        return choices(value)
    except ValueError:
        words = ", ".join(one.value for one in choices)  # type: ignore[attr-defined]
        raise ToxicInvalid(f"{what} {quoted(str(value), limit=60)} is not known", hint=f"one of {words}") from None


def _attributes(kind: ToxicType, given: object, before: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ToxicInvalid(f"the attributes of {kind.name} are not an object", hint='such as {"latency": 200}')
    known = {one.name: one for one in kind.attributes}
    for key in given:
        if key not in known:
            names = ", ".join(known) or "none"
            raise ToxicInvalid(f"{kind.name} has no attribute {quoted(str(key), limit=60)}", hint=f"its attributes: {names}")
    found: dict[str, Any] = {}
    for name, one in known.items():
        value = given.get(name, before.get(name, one.default))
        if isinstance(one.default, str):
            if not isinstance(value, str) or len(value) > 500 or "\0" in value:
                raise ToxicInvalid(f"{kind.name}.{name} must be a text of at most 500 characters", hint=one.summary)
            found[name] = value
        else:
            found[name] = _number(value, f"{kind.name}.{name}", one.least, one.most)
    return found


def _number(value: object, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
        raise ToxicInvalid(
            f"{what} is {quoted(str(value), limit=60)}, not a number from {least:g} to {most:g}",
            hint=f"give {what} within that range",
        )
    return value
