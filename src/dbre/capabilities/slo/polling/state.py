"""How a source that dbre asks is doing."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["PolledSource"]


@dataclass(slots=True, kw_only=True)
class PolledSource:
    """One SLO on one cluster. ``error`` is why it cannot be asked now; ``counted_until`` None: nothing was counted yet."""

    slo: str
    cluster: str
    kind: str  # prometheus, sql
    where: str  # name of the server, or address
    error: str | None = None
    counted_until: datetime | None = None
