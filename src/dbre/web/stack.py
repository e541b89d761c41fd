"""Who may see the services of the stack, and in which order."""

from dbre.capabilities.stack.model import CheckResult, ServiceState
from dbre.core.errors import Denied
from dbre.core.identity.model import Principal
from dbre.web.services import Services
from dbre.web.sight import sees_everything

__all__ = ["checked_services"]

_ORDER = (ServiceState.DOWN, ServiceState.DEGRADED, ServiceState.UP)


def checked_services(wired: Services, principal: Principal) -> list[CheckResult]:
    """The latest check of each service, the worst first. Raises: Denied for who does not see the whole fleet."""
    if not sees_everything(wired, principal):
        raise Denied(
            f"{principal.name} may not read the whole fleet, beside which the stack is",
            hint="ask an administrator for the role viewer without a selector",
        )
    return sorted(wired.stack(), key=lambda one: (_ORDER.index(one.state), one.service))
