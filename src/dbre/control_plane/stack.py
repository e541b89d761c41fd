"""The checks of the stack, with the SLOs that are made of them."""

from collections.abc import Sequence

from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.polling.run import SourceGround
from dbre.capabilities.slo.polling.services import ServiceCounter
from dbre.capabilities.stack import STACK, ServiceDocument
from dbre.capabilities.stack.checker import StackChecker
from dbre.core.config import Config
from dbre.core.events import EventBuffer

__all__ = ["stack_checker"]


def stack_checker(
    config: Config, definitions: Sequence[Definition], ground: SourceGround, *, events: EventBuffer
) -> StackChecker:
    """The checker of this control plane. Raises: UsageError for an SLO of a service that the section ``stack`` lacks."""
    services: tuple[ServiceDocument, ...] = config.get(STACK)
    counter = ServiceCounter(definitions, ground.fleet, services=[one.name for one in services], sink=ground.sink)
    return StackChecker(
        services,
        engines=ground.engines,
        clock=ground.clock,
        events=events.put,
        observer=counter.record,
        metrics=ground.metrics,
    )
