"""Who may read reports, and of which days."""

from datetime import timedelta

from dbre.capabilities.report.span import Span
from dbre.core.errors import Denied
from dbre.core.identity.model import Principal
from dbre.web.services import Services
from dbre.web.sight import sees_everything

__all__ = ["last_days"]


def last_days(wired: Services, principal: Principal, days: int) -> Span:
    """The last days until now. Raises: Denied for who does not see the whole fleet, of which reports tell."""
    if not sees_everything(wired, principal):
        raise Denied(
            f"{principal.name} may not read the whole fleet, which reports tell of",
            hint="ask an administrator for the role viewer without a selector",
        )
    until = wired.clock.now()
    return Span(since=until - timedelta(days=days), until=until)
