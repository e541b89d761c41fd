"""Logins in the audit log: who came in and went, and how often somebody was refused."""

import asyncio
from dataclasses import dataclass, field

from dbre.core.audit.model import AuditDraft, AuditRecorder
from dbre.core.clock import Clock, SystemClock
from dbre.core.errors import StoreError
from dbre.core.identity.model import Principal
from dbre.core.store import Store
from dbre.core.telemetry import logger

__all__ = ["LoginAudit"]

_RECORD_SECONDS = 2.0
_BURST = 10.0  # refusals that are recorded at once ...
_PER_SECOND = 1 / 6  # ... and how many after that: strangers must not fill the disk
_log = logger(__name__)


@dataclass(slots=True)
class LoginAudit:
    """Records logins if it is given where to; of many refusals only some are recorded, with the number of the others.

    A store that does not answer keeps nobody out: pages show what is in memory, and whatever changes something needs the
    store itself. The log has what the audit log could not take.
    """

    recorder: AuditRecorder | None = None
    store: Store | None = None
    clock: Clock = field(default_factory=SystemClock)
    _allowance: float = _BURST
    _filled_at: float | None = None
    _unrecorded: int = 0

    async def logged_in(self, principal: Principal, *, how: str) -> None:
        """Somebody has come in."""
        await self._record("identity.login", principal.name, {"how": how, "kind": principal.kind.value})

    async def logged_out(self, principal: Principal) -> None:
        """Somebody has gone."""
        await self._record("identity.logout", principal.name, {})

    async def refused(self, *, how: str, reason: str) -> None:
        """Somebody was refused; ``reason`` is a word, nothing that a stranger has sent."""
        if not self._may_record():
            self._unrecorded += 1
            return
        count, self._unrecorded = self._unrecorded, 0
        await self._record("identity.login_refused", "anonymous", {"how": how, "reason": reason, "unrecorded_before": count})

    def _may_record(self) -> bool:
        now = self.clock.monotonic()
        passed = now - self._filled_at if self._filled_at is not None else 0.0
        self._allowance, self._filled_at = min(_BURST, self._allowance + passed * _PER_SECOND), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def _record(self, action: str, actor: str, data: dict[str, object]) -> None:
        _log.info(action.replace(".", "_"), principal=actor, **data)
        recorder, store = self.recorder, self.store
        if recorder is None or store is None:
            return
        draft = AuditDraft(action=action, actor=actor, subject=f"identity/{actor}", data=data)
        try:
            async with asyncio.timeout(_RECORD_SECONDS):
                await store.grouped(lambda connection: recorder.record(connection, draft))
        except (StoreError, TimeoutError) as error:
            _log.error("login_not_recorded", action=action, principal=actor, error=f"{type(error).__name__}: {error}")
