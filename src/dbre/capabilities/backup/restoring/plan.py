"""What a restore would do: which sets, which log, what cannot be brought back; a value without behaviour of its own."""

from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.model import BackupSet, StoredLog
from dbre.ports.backup.model import LogKind, LogPosition, Problem, RecoveryTarget

__all__ = ["Loss", "RestorePlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What was asked for and cannot be recovered. ``None`` for what is not known, never 0."""

    until: datetime | None  # the newest moment that is known to be recoverable
    seconds: float | None  # from there to what was asked for
    bytes: int | None  # of log
    reason: str  # one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """How a moment is brought back. ``is_possible`` says whether anything stands in the way."""

    cluster: str
    engine: str
    system_id: str
    asked: RecoveryTarget
    target: RecoveryTarget  # with an explicit timeline; LATEST within ``logs`` where the loss of the rest was accepted
    timeline: int
    chain: tuple[BackupSet, ...]  # the full copy first, then its incrementals
    logs: tuple[StoredLog, ...]  # in order of replay; history files first
    start: LogPosition | None  # where replay begins; None where there is no log
    end: LogPosition | None  # where the log that we have ends without a hole
    end_at: datetime | None  # everything that was committed until then is in it; None: not known
    may_end_with_log: bool  # the target is the end of ``logs``, or in a quiet time, or the loss was accepted: it is as good
    loss: Loss | None
    problems: tuple[Problem, ...]
    vaults: tuple[str, ...]  # that hold at least one member, in order of preference

    @property
    def newest(self) -> BackupSet:
        """The member on which replay begins."""
        return self.chain[-1]

    @property
    def version_text(self) -> str:
        """Version of the source; picks the binaries."""
        return self.newest.version_text

    @property
    def bytes_copy(self) -> int:
        """Bytes of all members once they are unpacked."""
        return sum(one.bytes_source for one in self.chain)

    @property
    def bytes_stored(self) -> int:
        """Bytes that are fetched for the members; as large as unpacked where it is not known."""
        return sum(one.bytes_source if one.bytes_stored is None else one.bytes_stored for one in self.chain)

    @property
    def bytes_log(self) -> int:
        """Bytes of the log files."""
        return sum(one.file.size for one in self.logs)

    @property
    def bytes_replay(self) -> int | None:
        """Bytes of log between where replay begins and where the log ends; None where there is no log.

        Taken from the sizes of the files: positions may jump from one file to the next.
        """
        if self.start is None or self.end is None:
            return None
        begin, end = self.start.value, self.end.value
        files = [one.file for one in self.logs if one.file.kind is LogKind.SEGMENT]
        return sum(max(0, min(one.size, end - one.start) - max(0, begin - one.start)) for one in files)

    @property
    def bytes_needed(self) -> int:
        """Space that a restore takes at most: the members, what is made of them, and the log."""
        return 2 * self.bytes_copy + self.bytes_log

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """What stands in the way."""
        return tuple(one for one in self.problems if one.is_blocking)

    @property
    def is_possible(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.blocking
