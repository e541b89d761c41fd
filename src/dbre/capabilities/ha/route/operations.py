"""The operations on routes."""

from typing import Any

from dbre.capabilities.ha.route.ground import RouteGround
from dbre.capabilities.ha.route.set_route_ttl import SetRouteTtl
from dbre.capabilities.ha.route.switch_route import SwitchRoute
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: RouteGround) -> tuple[Operation[Any], ...]:
    """What the composition root registers."""
    return (SwitchRoute(ground), SetRouteTtl(ground))
