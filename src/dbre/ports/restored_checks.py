"""A check of a server that came out of a backup; whoever has one hands it to the drills."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dbre.ports.engine import Access, Server

__all__ = ["CheckOutcome", "CheckedServer", "RestoredCheck", "RestoredResult"]


class CheckOutcome(StrEnum):
    """What a check found."""

    PASS = "pass"  # noqa: S105 -- the opposite of fail
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"  # it could not look: an extension, a privilege, a program is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedServer:
    """What is checked: a restored server at its target."""

    server: Server
    access: Access
    cluster: str
    engine: str
    databases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredResult:
    """What a check found, for the verdict and the evidence."""

    level: str  # L4, L5, L6
    name: str  # checksums, amcheck, canary, rows, queries/<name>
    outcome: CheckOutcome
    detail: str  # one sentence with numbers and units
    seconds: float
    evidence: Mapping[str, Any] = field(default_factory=dict)  # JSON; no secrets and no personal data


class RestoredCheck(Protocol):
    """One check."""

    @property
    def name(self) -> str:
        """Name in configuration and evidence."""
        ...

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Look; changes nothing. A check that does not apply to the engine gives nothing."""
        ...
