"""One request to a database, as it is told to dbre."""

from dataclasses import dataclass

from dbre.client.outcome import Outcome

__all__ = ["Attributes", "ClientEvent"]

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """When it ended, how, and how long it took; it names its SLO or is described by attributes."""

    at_ms: int
    outcome: Outcome
    duration_ms: float | None
    weight: int
    slo: str | None
    attributes: Attributes
