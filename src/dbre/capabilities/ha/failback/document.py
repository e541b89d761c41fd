"""What ``ha.failback`` is asked, as a document."""

from pydantic import Field

from dbre.capabilities.ha.rejoin.document import HowBack, Name

__all__ = ["FailbackInput"]


class FailbackInput(HowBack):
    """Which cluster, to whom, and how that one is brought back."""

    cluster: Name
    to: Name | None = None
    """The instance that becomes primary again; none: the one that was it before."""
    patience_seconds: float = Field(3600.0, gt=0, le=7 * 86_400)
    """How long it may take, once it follows, until it has caught up."""
