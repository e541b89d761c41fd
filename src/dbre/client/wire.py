"""The form in which batches are sent: columns, in JSON."""

import json
from collections.abc import Sequence

from dbre.client.event import Attributes, ClientEvent
from dbre.client.outcome import Outcome

__all__ = ["encode"]


def encode(events: Sequence[ClientEvent]) -> bytes:
    """The body of a request. Attribute sets repeat, so each is written once."""
    sets: dict[Attributes, int] = {}
    for event in events:
        if event.slo is None:
            sets.setdefault(event.attributes, len(sets))
    columns: dict[str, object] = {
        "ts": [event.at_ms for event in events],
        "good": [event.outcome is Outcome.GOOD for event in events],
        "valid": [event.outcome is not Outcome.INVALID for event in events],
        "ms": [event.duration_ms for event in events],
        "weight": [event.weight for event in events],
        "slo": [event.slo for event in events],
        "attributes": [None if event.slo is not None else sets[event.attributes] for event in events],
        "attribute_sets": [dict(one) for one in sets],
    }
    return json.dumps(columns, separators=(",", ":")).encode()
