"""Waiting until the log that makes a set consistent is in every vault of its policy."""

from collections.abc import Awaitable, Callable, Sequence

from dbre.capabilities.backup.catalog.logs import list_logs
from dbre.capabilities.backup.catalog.switches import list_switches
from dbre.capabilities.backup.log.gaps import Coverage, coverage
from dbre.capabilities.backup.model import BackupSet, LogState, StoredLog
from dbre.core.clock import Clock
from dbre.core.store import Store
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.ports.backup.errors import LogGap

__all__ = ["log_coverage", "wait_for_log"]

_LOOK_SECONDS = 1.0
_END_FILE_AFTER_SECONDS = 3.0
_STORED = (LogState.VAULTED, LogState.VERIFIED)


async def log_coverage(store: Store, one: BackupSet, vaults: Sequence[str]) -> Coverage:
    """Which log from start to stop of a set lies in every one of the vaults."""
    assert one.start is not None and one.stop is not None  # noqa: S101, PT018 -- callers look: a set without log needs none
    async with store.read() as connection:
        logs = await list_logs(connection, one.cluster, system_id=one.system_id, states=_STORED, ends_after=one.start.value)
        switches = await list_switches(connection, [one.system_id])
    there: list[StoredLog] = [log for log in logs if set(vaults) <= set(log.vaults)]
    return coverage(there, switches, start=one.start, timeline=one.stop.timeline, until=one.stop.value, system_id=one.system_id)


async def wait_for_log(
    store: Store,
    one: BackupSet,
    vaults: Sequence[str],
    *,
    clock: Clock,
    patience: Callable[[], float],
    look: Callable[[Coverage], Awaitable[None]],
    end_file: Callable[[], Awaitable[None]],
) -> Coverage:
    """Return once every part of the log is there; ``look`` hears of each look, ``end_file`` is called once.

    Raises: LogGap after ``patience()`` seconds.
    """
    began, has_ended_file = clock.monotonic(), False
    while True:
        found = await log_coverage(store, one, vaults)
        if found.is_complete:
            return found
        await look(found)
        waited = clock.monotonic() - began
        if waited >= patience():
            raise _gap(one, vaults, found, waited)
        if waited >= _END_FILE_AFTER_SECONDS and not has_ended_file:
            has_ended_file = True
            await end_file()
        await clock.sleep(_LOOK_SECONDS)


def _gap(one: BackupSet, vaults: Sequence[str], found: Coverage, waited: float) -> LogGap:
    first = found.missing[0]
    return LogGap(
        f"set {one.id} needs log from {printable(first.start.text)} to {printable(first.end.text)} of timeline"
        f" {first.timeline} ({counted(len(found.missing), 'part')} missing), and after {format_duration(waited)} it is not in"
        f" {', '.join(vaults)}",
        hint="see whether log is received: dbre backup log status; or take a set that holds its own: --self-contained",
        context={"cluster": one.cluster, "set": one.id, "missing": len(found.missing)},
    )
