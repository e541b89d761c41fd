"""Signing the log while the control plane runs: each second in which it has grown."""

from collections.abc import Callable
from pathlib import Path

import structlog

from dbre.core.audit.checkpoint import Checkpoint
from dbre.core.audit.checkpoints import checkpoint_now
from dbre.core.audit.errors import AuditRolledBack, EntryMissing, NoteInvalid, WitnessStateInvalid
from dbre.core.audit.signed_note import SigningKey
from dbre.core.audit.witness import require_witnessed
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, StoreError
from dbre.core.store import Store

__all__ = ["Checkpointer"]

_PROBLEMS = (AuditRolledBack, EntryMissing, NoteInvalid, WitnessStateInvalid)  # of the log itself: waiting does not help
_log = structlog.get_logger(__name__)


class Checkpointer:
    """Makes checkpoints. A log that is not what was signed or witnessed before is never signed; ``problem`` says why."""

    def __init__(
        self,
        store: Store,
        key: SigningKey,
        clock: Clock,
        *,
        interval_seconds: float = 1.0,
        witness: Path | None = None,
        on_problem: Callable[[DbreError], None] | None = None,
    ) -> None:
        self._store = store
        self.key = key
        self.witness = witness
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._on_problem = on_problem  # hears of each new problem once
        self.problem: DbreError | None = None

    async def run(self) -> None:
        """Sign until cancelled. A store that is away is asked again; a log that must not be signed is told of once."""
        while True:
            try:
                await self.checkpoint_now()
            except _PROBLEMS as error:
                _log.debug("checkpoint_refused", code=error.code)
            except StoreError as error:
                _log.warning("checkpoint_postponed", code=error.code, message=error.message)
            await self._clock.sleep(self._interval_seconds)

    async def checkpoint_now(self) -> Checkpoint | None:
        """Sign the log as it is now, for who just finished something; None: it is empty.

        Raises: AuditRolledBack, EntryMissing, NoteInvalid, WitnessStateInvalid; a StoreError.
        """
        try:
            if self.witness is not None:
                async with self._store.read() as connection:
                    await require_witnessed(connection, self.witness, self.key.verifier)
            made = await checkpoint_now(self._store, self.key, self._clock)
        except _PROBLEMS as error:
            self._tell(error)
            raise
        self.problem = None
        return made

    def _tell(self, error: DbreError) -> None:
        if self.problem is None or self.problem.code != error.code:
            _log.error("audit_log_not_signed", code=error.code, message=error.message)
            if self._on_problem is not None:
                self._on_problem(error)
        self.problem = error
