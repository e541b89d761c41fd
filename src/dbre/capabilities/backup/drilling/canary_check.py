"""The canary chain of a restored server, compared with what the control plane witnessed (level L5)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dbre.capabilities.backup.drilling.canary_chain import ChainBounds, ChainFinding, compare_chain
from dbre.capabilities.backup.drilling.checks import opened
from dbre.capabilities.backup.model import WitnessedCanary
from dbre.core.errors import Unsupported
from dbre.ports.engine import Engine
from dbre.ports.restored_checks import CheckedServer, CheckOutcome, RestoredResult

__all__ = ["MOST_ROWS", "CanaryCheck"]

MOST_ROWS = 10_000
"""A day of rows at the default interval: the newest are what tells where recovery ended."""


@dataclass(slots=True, kw_only=True)
class CanaryCheck:
    """Reads the chain once; ``finding`` keeps what the recovery point is computed from."""

    engine: Engine
    witnesses: Sequence[WitnessedCanary]
    bounds: ChainBounds
    database: str | None
    is_enabled: bool  # the policy writes canaries: then their absence says something
    name: str = "canary"
    finding: ChainFinding | None = field(default=None, init=False)

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Read the newest rows and compare them."""
        if not self.is_enabled and not self.witnesses:
            return []
        began = time.monotonic()
        async with opened(self.engine, checked, database=self.database) as server:
            try:
                rows = await server.canary.newest(MOST_ROWS)
            except Unsupported:
                return []
        self.finding = found = compare_chain(rows, self.witnesses, self.bounds)
        if found.outcome is CheckOutcome.INCONCLUSIVE and not self.witnesses and not rows:
            return []  # enabled a moment ago: nothing was written before the target, so nothing can be said
        return [
            RestoredResult(
                level="L5",
                name=self.name,
                outcome=found.outcome,
                detail=found.detail,
                seconds=time.monotonic() - began,
                evidence=found.evidence,
            )
        ]
