"""A moment brought back: members fetched and verified, log scanned, one directory made, a server booted, the log replayed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.ports.backup.engine import LogFetch, RecoveredServer
from dbre.ports.backup.model import Phase

if TYPE_CHECKING:
    from dbre.capabilities.backup.vault.vault import Vault

__all__ = ["Recovered", "Tell", "recovering"]

Tell = Callable[[str, int, int | None], Awaitable[None]]
"""Called now and then with the name of the phase, bytes done, and bytes in all (None: not known); it may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A server at its target, with what it took to get there."""

    plan: RestorePlan
    server: RecoveredServer
    phases: tuple[Phase, ...]  # fetch, verify, scan, combine, then those of the server
    data: Path  # the server's data directory


@asynccontextmanager
async def recovering(
    ground: BackupGround,
    plan: RestorePlan,
    *,
    vaults: "Sequence[Vault]",
    directory: Path,
    mode: str = "faithful",
    stays_at_target: bool = True,
    jail: bool = True,
    tell: Tell | None = None,
    log: LogFetch | None = None,
) -> AsyncIterator[Recovered]:
    """Bring the moment of a plan back in a new directory; the server is stopped and worthless at the end.

    ``vaults`` are open; each member comes from the first that holds it. ``log`` is where log files come from (default: the
    vaults, then the spool). Members are verified (L1) and log is scanned (L2) before anything is made of them.

    Raises: CopyDamaged naming each fault, LogGap, RecoveryFailed, TargetNotReached; PrecheckFailed where the plan has blocking
    problems or the directory is in use.
    """
    raise NotImplementedError  # pragma: no cover
    yield
