"""The deeds that MySQL and MariaDB know."""

import signal
from collections.abc import Callable, Mapping
from datetime import datetime

from dbre.engines.mysql.backup.source import as_utc
from dbre.engines.mysql.facts import CERTIFICATE, CONTROL_REPLICA, END_SESSIONS, LOCK, LOGIN
from dbre.engines.mysql.mischief.certificate import OtherCertificate
from dbre.engines.mysql.mischief.ending import EndSessions
from dbre.engines.mysql.mischief.holding import Deadlocks, IdleTransactions, Locks
from dbre.engines.mysql.mischief.replaying import ReplayDelay, ReplayPause
from dbre.engines.mysql.mischief.talking import talking
from dbre.ports.engine import Access
from dbre.ports.mischief import Deed, DeedPort, unknown_deed

__all__ = ["DEEDS", "MySqlMischief"]

DEEDS: Mapping[Deed, str] = {
    Deed.LOCKS: LOCK,
    Deed.IDLE_TRANSACTIONS: LOGIN,
    Deed.DEADLOCKS: LOGIN,
    Deed.REPLAY_PAUSE: CONTROL_REPLICA,
    Deed.REPLAY_DELAY: CONTROL_REPLICA,
    Deed.END_SESSIONS: END_SESSIONS,
    Deed.CERTIFICATE: CERTIFICATE,
}
_KNOWN: Mapping[Deed, Callable[[Access, str], DeedPort]] = {
    Deed.LOCKS: Locks,
    Deed.IDLE_TRANSACTIONS: IdleTransactions,
    Deed.DEADLOCKS: Deadlocks,
    Deed.REPLAY_PAUSE: ReplayPause,
    Deed.REPLAY_DELAY: ReplayDelay,
    Deed.END_SESSIONS: EndSessions,
    Deed.CERTIFICATE: OtherCertificate,
}


class MySqlMischief:
    """Implements ``ports.mischief``."""

    deeds = DEEDS
    stop_signal = signal.SIGTERM

    def __init__(self, access: Access) -> None:
        self._access = access

    async def now(self) -> datetime:
        """What time the server takes it to be."""
        async with talking(self._access) as talk:
            (found,) = await talk.rows("mischief_now")
        return as_utc(found["now_at"])

    def deed(self, deed: Deed, tag: str) -> DeedPort:
        """One of them."""
        if deed not in _KNOWN:
            raise unknown_deed("MySQL", deed, self.deeds)
        return _KNOWN[deed](self._access, tag)
