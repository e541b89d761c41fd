"""What the pages and the API read; the composition root fills it in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from dbre.capabilities.observe import EndpointState
from dbre.capabilities.slo import Definition, SloStatus
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry
from dbre.web.document import ServerDocument
from dbre.web.identity import Gatekeeper
from dbre.web.tracking import RequestMetrics

__all__ = ["Readiness", "Services", "services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """One part of the control plane, and whether it does its work now."""

    part: str
    is_ready: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Handed to ``create_app``; kept in the application's state."""

    clock: Clock
    fleet: Fleet
    store: Store
    engines: EngineRegistry
    definitions: Sequence[Definition]
    gatekeeper: Gatekeeper
    document: ServerDocument
    endpoints: Callable[[], Sequence[EndpointState]]
    slo_status: Callable[[], Awaitable[Sequence[SloStatus]]]
    readiness: Callable[[], Awaitable[Sequence[Readiness]]]
    metrics: Callable[[str], tuple[bytes, str]]  # Accept header in; body and content type out
    request_metrics: RequestMetrics


def services(request: Request) -> Services:
    """The services of the application that serves ``request``."""
    return cast(Services, request.app.state.services)
