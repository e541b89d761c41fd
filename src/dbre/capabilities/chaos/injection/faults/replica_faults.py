"""Faults of replication and archiving that the server makes itself: replay paused or late, archiving that fails, a slot."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from dbre.capabilities.chaos.injection.faults.asking import Asked, asked_of_server
from dbre.core.config import Duration, Size, between
from dbre.ports.mischief import Deed

__all__ = ["ARCHIVE_FAILURE", "REPLAY_PAUSE", "REPLICA_LAG", "SLOT_LEAK"]


class LagParameters(Asked):
    """How late."""

    delay: Annotated[Duration, between("1s", "1d")] = Field(timedelta(seconds=30), description="so much later than it came")

    def asked(self) -> dict[str, Any]:
        """For the engine's facet."""
        return {"delay_seconds": self.delay.total_seconds()}


class SlotParameters(Asked):
    """How much log it may keep."""

    most: Size = Field(2**30, description="beyond that the slot is moved on; default 1 GiB")

    def asked(self) -> dict[str, Any]:
        """For the engine's facet."""
        return {"most": int(self.most)}


REPLAY_PAUSE = asked_of_server(
    Deed.REPLAY_PAUSE,
    name="replay-pause",
    summary="a replica receives and does not replay",
    privilege="PostgreSQL EXECUTE on pg_wal_replay_pause and pg_wal_replay_resume, MariaDB REPLICATION SLAVE ADMIN",
    proof="the replica's own state of replay",
    undo="replay goes on; a promotion ends it too",
    parameters=Asked,
)
REPLICA_LAG = asked_of_server(
    Deed.REPLAY_DELAY,
    name="replica-lag",
    summary="a replica replays so much later (recovery_min_apply_delay, MASTER_DELAY)",
    privilege="PostgreSQL ALTER SYSTEM on recovery_min_apply_delay and a reload, MariaDB REPLICATION SLAVE ADMIN",
    proof="the replica's own settings",
    undo="the delay that was stored before, or none",
    parameters=LagParameters,
)
ARCHIVE_FAILURE = asked_of_server(
    Deed.ARCHIVE_FAILURE,
    name="archive-failure",
    summary="PostgreSQL's archive_command fails: log piles up on the server",
    privilege="ALTER SYSTEM on archive_command, and a reload",
    proof="the setting, and the archiver's count of failures",
    undo="the command that was stored before; archiving catches up by itself",
    parameters=Asked,
)
SLOT_LEAK = asked_of_server(
    Deed.SLOT_LEAK,
    name="slot-leak",
    summary="PostgreSQL keeps its log for a replication slot that nobody uses, up to a limit",
    privilege="REPLICATION",
    proof="the server's list of slots",
    undo="drop the slot",
    parameters=SlotParameters,
)
