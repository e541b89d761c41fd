"""The deeds that PostgreSQL knows."""

import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.mischief.certificate import OtherCertificate
from dbre.engines.postgres.mischief.deeds import DEEDS
from dbre.engines.postgres.mischief.ending import EndSessions
from dbre.engines.postgres.mischief.forcing import ArchiveFailure
from dbre.engines.postgres.mischief.holding import Deadlocks, IdleTransactions, Locks
from dbre.engines.postgres.mischief.replaying import ReplayDelay, ReplayPause
from dbre.engines.postgres.mischief.slots import SlotLeak
from dbre.ports.engine import Access
from dbre.ports.mischief import Deed, DeedPort, unknown_deed

__all__ = ["PostgresMischief"]

_KNOWN: Mapping[Deed, Callable[[Access, str], DeedPort]] = {
    Deed.LOCKS: Locks,
    Deed.IDLE_TRANSACTIONS: IdleTransactions,
    Deed.DEADLOCKS: Deadlocks,
    Deed.REPLAY_PAUSE: ReplayPause,
    Deed.REPLAY_DELAY: ReplayDelay,
    Deed.ARCHIVE_FAILURE: ArchiveFailure,
    Deed.SLOT_LEAK: SlotLeak,
    Deed.END_SESSIONS: EndSessions,
    Deed.CERTIFICATE: OtherCertificate,
}


class PostgresMischief:
    """Implements ``ports.mischief``."""

    deeds = DEEDS
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait for clients

    def __init__(self, access: Access) -> None:
        self._access = access

    async def now(self) -> datetime:
        """What time the server takes it to be."""
        async with asking(self._access, what="chaos") as questions:
            found: datetime = (await questions.row("mischief_now")).now_at
        return found.astimezone(UTC)

    def deed(self, deed: Deed, tag: str) -> DeedPort:
        """One of them."""
        if deed not in _KNOWN:
            raise unknown_deed("PostgreSQL", deed, self.deeds)
        return _KNOWN[deed](self._access, tag)
