"""A client that loads a database on a fixed schedule and keeps account of what it suffered."""

from dbre.lab.load.client import LoadClient
from dbre.lab.load.model import (
    Ledger,
    LedgerAudit,
    LoadKind,
    LoadPlan,
    LoadReport,
    LoadSummary,
    LoadTarget,
    Outage,
    SecondCount,
)

__all__ = [
    "Ledger",
    "LedgerAudit",
    "LoadClient",
    "LoadKind",
    "LoadPlan",
    "LoadReport",
    "LoadSummary",
    "LoadTarget",
    "Outage",
    "SecondCount",
]
