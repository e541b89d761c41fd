"""How long a candidate will take to apply what it has received, by how fast it does so now."""

from dataclasses import asdict, dataclass
from typing import Any

from dbre.capabilities.ha.failover.draining import missing_transactions, unapplied_bytes
from dbre.core.clock import Clock
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.ports.engine import Server
from dbre.ports.succession import Obstacle

__all__ = ["DrainForecast", "drain_reason", "forecast_drain"]

_BETWEEN_SECONDS = 0.5
"""Between two looks: it applies meanwhile, so that nothing is lost by looking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainForecast:
    """What is to be applied. ``seconds`` None: it applied nothing between two looks, so nobody can tell."""

    transactions: int
    bytes: int | None  # None: only the dead primary would know
    seconds: float | None

    def as_document(self) -> dict[str, Any]:
        """As a plan holds it."""
        return asdict(self)

    @property
    def text(self) -> str:
        """One line with numbers."""
        size = f", {format_bytes(self.bytes)} of relay log" if self.bytes is not None else ""
        if self.transactions == 0:
            return "it has applied all that it received"
        received = f"{counted(self.transactions, 'transaction')}{size}"
        if self.seconds is None:
            return f"{received}; it applied none within {_BETWEEN_SECONDS:g} s"
        return f"{received}; about {format_duration(round(self.seconds, 1))} at the pace of now"


async def forecast_drain(server: Server, clock: Clock) -> DrainForecast:
    """Look twice at a candidate that has something to apply."""
    began, view = clock.monotonic(), await server.topology.view()
    first = missing_transactions(view) or 0
    await clock.sleep(_BETWEEN_SECONDS)
    later = await server.topology.view()
    elapsed, left = clock.monotonic() - began, missing_transactions(later) or 0
    applied = first - left
    seconds = left * elapsed / applied if applied > 0 else 0.0 if left == 0 else None
    return DrainForecast(transactions=left, bytes=unapplied_bytes(later), seconds=seconds)


def drain_reason(name: str, forecast: DrainForecast, *, limit_seconds: float) -> Obstacle:
    """As a reason for or against: it forbids nothing, for what is slow now may go faster without readers."""
    return Obstacle(
        rule="drain",
        subject=name,
        value=forecast.text,
        limit=f"applied within {format_duration(limit_seconds)}",
        source="the candidate's positions, looked at twice",
        remedy="raise failover: drain; end what keeps the candidate from applying, such as the lock of a reader",
        is_met=forecast.seconds is not None and forecast.seconds <= limit_seconds,
        is_blocking=False,
    )
