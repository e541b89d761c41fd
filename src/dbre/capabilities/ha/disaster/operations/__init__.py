"""The operations of plans for the loss of a site."""

from typing import Any

from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.operations.fail_back import FailBack
from dbre.capabilities.ha.disaster.operations.fail_site_over import FailSiteOver
from dbre.capabilities.ha.disaster.operations.rehearse import Rehearse
from dbre.capabilities.ha.disaster.operations.switch_sites import SwitchSites
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: DisasterGround) -> tuple[Operation[Any], ...]:
    """Every operation, ready to be registered."""
    return Rehearse(ground), SwitchSites(ground), FailSiteOver(ground), FailBack(ground)
