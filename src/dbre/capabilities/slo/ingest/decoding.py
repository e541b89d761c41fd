"""Bodies of requests, in each of the formats, to columns: whole batches at once, row by row only where one is wrong."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dbre.capabilities.slo.ingest.checking import Rejection
from dbre.capabilities.slo.ingest.errors import BadBatch
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.pre_aggregated import Counted

__all__ = ["Decoded", "decode_json", "decode_lines", "decode_msgpack"]

_HINT = "docs/reference/ingest.md has the formats"
Attributes = dict[str, str | int | float | bool]


class _Event(msgspec.Struct, gc=False):
    """One event as a JSON object."""

    ts: int
    slo: str | None = None
    good: bool = True
    ms: float | None = None
    weight: int = 1
    valid: bool = True
    attributes: Attributes | None = None


class _PackedEvent(msgspec.Struct, array_like=True, gc=False):
    """One event as an array: what most events say comes first, the rest may be left out."""

    ts: int
    slo: str | None
    good: bool = True
    ms: float | None = None
    weight: int = 1
    valid: bool = True


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object or a msgpack map: events, columns, counts, or signs of life."""

    events: list[_Event] | None = None
    ts: list[int] | None = None
    good: list[bool] | None = None
    ms: list[float | None] | None = None
    weight: list[int] | None = None
    valid: list[bool] | None = None
    slo: list[str | None] | str | None = None
    attributes: list[int | None] | int | None = None
    attribute_sets: list[Attributes] = []
    counts: list[Counted] | None = None
    alive: list[str] | None = None


@dataclass(slots=True)
class Decoded:
    """What a body holds; rows that could not be read are among ``rejections``."""

    columns: EventColumns | None = None
    counts: Sequence[Counted] = ()
    alive: Sequence[str] = ()
    rows: Sequence[int] = ()  # which number each row of the columns has in the body; empty: its own
    rejections: list[Rejection] = field(default_factory=list)


_json_body = msgspec.json.Decoder(_Body)
_json_events = msgspec.json.Decoder(list[_Event])
_json_event = msgspec.json.Decoder(_Event)
_json_raw = msgspec.json.Decoder(list[msgspec.Raw])
_pack_body = msgspec.msgpack.Decoder(_Body)
_pack_events = msgspec.msgpack.Decoder(list[_PackedEvent])
_pack_event = msgspec.msgpack.Decoder(_PackedEvent)
_pack_raw = msgspec.msgpack.Decoder(list[msgspec.Raw])


def decode_json(body: bytes) -> Decoded:
    """A JSON array of events, or an object. Raises: BadBatch."""
    if body.lstrip()[:1] != b"[":
        return _of_body(_decode(_json_body.decode, body))
    return _of_rows(body, _json_events.decode, _json_raw.decode, _json_event.decode)


def decode_lines(body: bytes) -> Decoded:
    """One JSON object a line; empty lines count for nothing. Raises: BadBatch."""
    try:
        return Decoded(columns=_columns(_json_event.decode_lines(body)))
    except msgspec.DecodeError:  # ValidationError is one
        return _one_by_one([line for line in body.splitlines() if line.strip()], _json_event.decode)


def decode_msgpack(body: bytes) -> Decoded:
    """An array of arrays [ts, slo, good, ms, weight, valid], or a map as in JSON. Raises: BadBatch."""
    first = body[0] if body else 0xC0
    if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
        return _of_body(_decode(_pack_body.decode, body))
    return _of_rows(body, _pack_events.decode, _pack_raw.decode, _pack_event.decode)


def _decode(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBatch(f"the body cannot be read: {str(error)[:300]}", hint=_HINT) from error


def _of_rows(
    body: bytes,
    decode_all: Callable[[bytes], Sequence[Any]],
    decode_raw: Callable[[bytes], Sequence[Any]],
    decode_one: Callable[[bytes], Any],
) -> Decoded:
    try:
        return Decoded(columns=_columns(decode_all(body)))
    except msgspec.ValidationError:
        return _one_by_one(_decode(decode_raw, body), decode_one)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBatch(f"the body cannot be read: {str(error)[:300]}", hint=_HINT) from error


def _one_by_one(rows: Iterable[Any], decode_one: Callable[[bytes], Any]) -> Decoded:
    """Where a row is wrong: the others count nevertheless, each with the number that it has in the body."""
    events, numbers, rejections = list[Any](), list[int](), list[Rejection]()
    for number, row in enumerate(rows):
        try:
            events.append(decode_one(row))
            numbers.append(number)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rejections.append(Rejection(number, str(error)[:300]))
    return Decoded(columns=_columns(events), rows=numbers, rejections=rejections)


def _columns(events: Sequence[Any]) -> EventColumns:
    columns = EventColumns(
        at_ms=[one.ts for one in events],
        is_good=[one.good for one in events],
        duration_ms=[one.ms for one in events],
        slo=[one.slo for one in events],
    )
    if not all(one.valid for one in events):
        columns.is_valid = [one.valid for one in events]
    if any(one.weight != 1 for one in events):
        columns.weight = [one.weight for one in events]
    if events and isinstance(events[0], _Event) and any(one.attributes is not None for one in events):
        index: dict[tuple[tuple[str, str], ...], int] = {}
        columns.attributes = [
            None if one.attributes is None else index.setdefault(_attribute_set(one.attributes), len(index)) for one in events
        ]
        columns.attribute_sets = tuple(index)
    return columns


def _attribute_set(attributes: Attributes) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, _text(value)) for name, value in attributes.items()))


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_body(body: _Body) -> Decoded:
    decoded = Decoded(counts=body.counts or (), alive=body.alive or ())
    if body.events is not None:
        decoded.columns = _columns(body.events)
    elif body.ts is not None:
        decoded.columns = _of_columns(body, body.ts)
    elif body.counts is None and body.alive is None:
        raise BadBatch("the body holds none of events, ts, counts and alive", hint=_HINT)
    return decoded


def _of_columns(body: _Body, moments: list[int]) -> EventColumns:
    size = len(moments)
    slo = [body.slo] * size if isinstance(body.slo, str) else body.slo or ()
    attributes = [body.attributes] * size if isinstance(body.attributes, int) else body.attributes or ()
    if any(one is not None and not 0 <= one < len(body.attribute_sets) for one in set(attributes)):
        raise BadBatch(f"attributes names a set outside 0..{len(body.attribute_sets) - 1}, those of attribute_sets")
    return EventColumns(
        at_ms=moments,
        is_good=body.good if body.good is not None else [True] * size,
        is_valid=body.valid,
        duration_ms=body.ms or (),
        weight=body.weight or (),
        slo=slo,
        attributes=attributes,
        attribute_sets=tuple(map(_attribute_set, body.attribute_sets)),
    )
