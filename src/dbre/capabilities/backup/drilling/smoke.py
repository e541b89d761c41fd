"""A program of the application says whether it can work with the restored server (level L6)."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.core.errors import DbreError
from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.core.telemetry.redaction import redact_text
from dbre.core.text import printable
from dbre.ports.restored_checks import CheckedServer, RestoredResult

__all__ = ["SmokeCheck"]

_LIMIT_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeCheck:
    """Runs the program as the account of the servers, who alone may reach the socket. 0 is good, any other end is not.

    The program finds the server in ``DBRE_HOST`` (or the directory of its socket), ``DBRE_PORT``, ``DBRE_USER``,
    ``DBRE_DATABASE``, and where there is one ``DBRE_PASSWORD``; the cluster's name is in ``DBRE_CLUSTER``.
    """

    argv: Sequence[str]
    account: Account
    directory: Path
    name: str = "smoke"

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Run it to its end."""
        program, began = Path(self.argv[0]).name, time.monotonic()
        if not await asyncio.to_thread(Path(self.argv[0]).is_file):
            return [inconclusive("L6", self.name, f"there is no program {printable(self.argv[0], limit=200)} here")]
        try:
            await run(
                list(self.argv),
                account=self.account,
                directory=self.directory,
                timeout_seconds=_LIMIT_SECONDS,
                environment=_environment(checked),
            )
        except DbreError as error:
            said = printable(redact_text(error.message), limit=1_000)
            return [failed("L6", self.name, said, time.monotonic() - began, code=error.code)]
        return [passed("L6", self.name, f"{printable(program, limit=100)} ended with 0", time.monotonic() - began)]


def _environment(checked: CheckedServer) -> dict[str, str]:
    access = checked.access
    known = {
        "DBRE_CLUSTER": checked.cluster,
        "DBRE_ENGINE": checked.engine,
        "DBRE_HOST": access.address.host,
        "DBRE_PORT": str(access.address.port),
        "DBRE_USER": access.user,
        "DBRE_DATABASE": checked.databases[0] if checked.databases else access.database,
        "DBRE_PASSWORD": access.password.reveal() if access.password is not None else None,
    }
    return {name: value for name, value in known.items() if value is not None}
