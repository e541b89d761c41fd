"""Whether a full copy is due because the server was promoted: its log goes on along a timeline that none lies on. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.retention.rules import is_whole

__all__ = ["lacks_full"]

_UNFINISHED = frozenset({SetState.RUNNING, SetState.COPIED, SetState.VERIFIED})
_LONGEST_COPY = timedelta(days=1)
"""What was begun before that and is not finished is nobody's any more: expiry collects it."""


def lacks_full(sets: Iterable[BackupSet], *, system_id: str, timeline: int, now: datetime) -> bool:
    """Whether a server goes on along a timeline that no whole copy lies on, although it was copied before.

    Until there is one, restores lead over two timelines: what is wrong with the log of a primary that may be gone for good
    takes all later moments with it. False while a copy is made, and where there never was one: a person or the calendar
    begins. Copies without a place in the log do not count. Source: backup.md 4.9.
    """
    known = tuple(sets)
    if any(one.state in _UNFINISHED and now - one.started_at < _LONGEST_COPY for one in known):
        return False
    sealed = [one for one in known if one.state is SetState.SEALED and one.stop is not None and is_whole(one)]
    return bool(sealed) and all((one.system_id, one.timeline) != (system_id, timeline) for one in sealed)
