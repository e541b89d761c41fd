"""Waiting until the log that makes a set consistent is in every vault of its policy."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.catalog.gaps import list_gaps
from dbre.capabilities.backup.catalog.logs import list_logs
from dbre.capabilities.backup.catalog.switches import list_switches
from dbre.capabilities.backup.log.gaps import Coverage, coverage
from dbre.capabilities.backup.model import BackupSet, LogState, RecoveryGap, StoredLog
from dbre.core.clock import Clock
from dbre.core.store import Store
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.ports.backup.errors import LogGap

__all__ = ["LogWait", "log_coverage", "wait_for_log"]

_LOOK_SECONDS = 1.0
_END_FILE_AFTER_SECONDS = 3.0
_FIRST_TOLD_SECONDS = 10.0
_TOLD_EVERY = 4.0  # times as long as before
_STORED = (LogState.VAULTED, LogState.VERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWait:
    """What happens while it is waited."""

    patience: Callable[[], float]  # seconds; may be changed meanwhile
    look: Callable[[Coverage], Awaitable[None]]  # hears of each look
    end_file: Callable[[], Awaitable[None]]  # called once, so that a file that is written is not waited for
    tell: Callable[[str], Awaitable[None]]  # a sentence now and then: what is waited for


async def log_coverage(store: Store, one: BackupSet, vaults: Sequence[str]) -> Coverage:
    """Which log from start to stop of a set lies in every one of the vaults."""
    assert one.start is not None and one.stop is not None  # noqa: S101, PT018 -- callers look: a set without log needs none
    async with store.read() as connection:
        logs = await list_logs(connection, one.cluster, system_id=one.system_id, states=_STORED, ends_after=one.start.value)
        switches = await list_switches(connection, [one.system_id])
    there: list[StoredLog] = [log for log in logs if set(vaults) <= set(log.vaults)]
    return coverage(there, switches, start=one.start, timeline=one.stop.timeline, until=one.stop.value, system_id=one.system_id)


async def wait_for_log(store: Store, one: BackupSet, vaults: Sequence[str], *, clock: Clock, wait: LogWait) -> Coverage:
    """Return once every part of the log is there.

    Raises: LogGap after the patience, and at once where a part is known to be lost for good.
    """
    began, has_ended_file, told_after = clock.monotonic(), False, _FIRST_TOLD_SECONDS
    while True:
        found = await log_coverage(store, one, vaults)
        if found.is_complete:
            return found
        await wait.look(found)
        if (gap := await _gap_in(store, one, found)) is not None:
            raise _lost(one, found, gap)
        waited, patience = clock.monotonic() - began, wait.patience()
        if waited >= patience:
            raise _not_there(one, vaults, found, waited)
        if waited >= _END_FILE_AFTER_SECONDS and not has_ended_file:
            has_ended_file = True
            await wait.end_file()
        if waited >= told_after:
            told_after *= _TOLD_EVERY
            await wait.tell(
                f"waiting for {_missing(found)} to reach {', '.join(vaults)}: {format_duration(waited)} so far, at most"
                f" {format_duration(patience)} (log-wait); `dbre backup log status {one.cluster}` shows who receives it"
            )
        await clock.sleep(_LOOK_SECONDS)


async def _gap_in(store: Store, one: BackupSet, found: Coverage) -> RecoveryGap | None:
    """A gap in what is missing that was noted since the copy began; an earlier one is what this copy remedies."""
    async with store.read() as connection:
        gaps = await list_gaps(connection, one.cluster, since=one.started_at)
    for gap in gaps:
        for hole in found.missing:
            is_same = (gap.system_id, gap.timeline, gap.began_at >= one.started_at) == (one.system_id, hole.timeline, True)
            if is_same and gap.start < hole.end.value and (gap.end is None or gap.end > hole.start.value):
                return gap
    return None


def _missing(found: Coverage) -> str:
    first = found.missing[0]
    return (
        f"log from {printable(first.start.text)} to {printable(first.end.text)} of timeline {first.timeline}"
        f" ({counted(len(found.missing), 'part')} missing)"
    )


def _lost(one: BackupSet, found: Coverage, gap: RecoveryGap) -> LogGap:
    return LogGap(
        f"set {one.id} needs {_missing(found)}, and it is lost for good: {printable(gap.reason, limit=300)}",
        hint="take another copy; with --self-contained it holds its own log and depends on nobody",
        context={"cluster": one.cluster, "set": one.id, "gap": str(gap.id)},
    )


def _not_there(one: BackupSet, vaults: Sequence[str], found: Coverage, waited: float) -> LogGap:
    return LogGap(
        f"set {one.id} needs {_missing(found)}, and after {format_duration(waited)} it is not in {', '.join(vaults)}",
        hint="see whether log is received: dbre backup log status; or take a set that holds its own: --self-contained",
        context={"cluster": one.cluster, "set": one.id, "missing": len(found.missing)},
    )
