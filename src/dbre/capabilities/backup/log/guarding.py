"""Looks at what the server keeps for us, at holes in what we have, and at files that are begun and not ended."""

from dbre.capabilities.backup.documents import LogDocument
from dbre.capabilities.backup.log.gaps import MissingLog, coverage
from dbre.capabilities.backup.log.guard import GuardAct, GuardDecision, judge
from dbre.capabilities.backup.log.known_gaps import KnownGaps
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.origin import LogOrigin, receiver_name
from dbre.capabilities.backup.log.receiving import Receiving
from dbre.capabilities.backup.log.recent_log import read_recent_log
from dbre.capabilities.backup.log.set_aside import SetAside
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Denied
from dbre.core.store import Store
from dbre.ports.backup.log_source import LogBacklog

__all__ = ["Guarding", "LogAtRisk"]

_HOLE_ROUNDS = 3  # a hole that is still there after so many rounds is not just a file that comes late
_PAUSES = 20.0  # ending a file may be dear (Redis writes all its data anew): it rests so many times as long as it took


class LogAtRisk(DbreError):
    """The server keeps much log for us, or will not keep it for long."""

    code = "backup.log_at_risk"


class Guarding:
    """One round is one look; ``decision`` is what the last one said."""

    def __init__(
        self,
        origin: LogOrigin,
        *,
        settings: LogDocument,
        receiving: Receiving | None,
        store: Store,
        clock: Clock,
        news: LogNews,
        gaps: KnownGaps,
        aside: SetAside,
    ) -> None:
        self._origin = origin
        self._settings = settings
        self._receiving = receiving
        self._store = store
        self._clock = clock
        self._news = news
        self._gaps = gaps
        self._aside = aside
        self._last: tuple[float, int] | None = None
        self._kept: int | None = None
        self._holes: dict[tuple[int, int], int] = {}
        self._ended_mark: str | None = None
        self._begun: tuple[float, int] | None = None  # since when the present file, and which one, holds changes
        self._ending_seconds = 0.0  # how long the last end of a file took
        self.decision: GuardDecision | None = None

    async def look(self) -> None:
        """One round. Raises: Unreachable, Denied."""
        source = self._origin.source
        if source is not None:
            backlog = await source.backlog(receiver_name(self._origin.cluster.name))
            if self._receiving is not None:
                await self._guard(backlog, self._receiving)
            await self._end_file(backlog)
        await self._find_holes()
        await self._gaps.close()
        await self._aside.retire()

    async def _guard(self, backlog: LogBacklog, receiving: Receiving) -> None:
        limit = self._settings.largest_backlog
        self.decision = judge(
            backlog,
            largest_bytes=limit,
            when_blocked=self._settings.when_blocked,
            bytes_per_second=self._rate(backlog.position.value),
            kept_before=self._kept,
        )
        self._kept = backlog.kept_bytes
        pressing = [one for one in backlog.problems if one.is_blocking]
        if self.decision.act is GuardAct.NOTHING and pressing:
            await self._news.trouble("backup.log_at_risk", LogAtRisk(pressing[0].message, hint=pressing[0].hint))
        elif self.decision.act is GuardAct.NOTHING:
            await self._news.well("backup.log_at_risk")
        elif self.decision.act is GuardAct.WARN:
            error = LogAtRisk(self.decision.reason, hint="see why it is not received: dbre backup log status")
            await self._news.trouble("backup.log_at_risk", error, seconds_to_full=self.decision.seconds_to_full)
        elif self.decision.act is GuardAct.DROP:
            await receiving.give_up(self.decision.reason)
        # a GAP is the receiver's to note: it knows up to where it had received

    def _rate(self, value: int) -> float | None:
        now, last = self._clock.monotonic(), self._last
        self._last = (now, value)
        return (value - last[1]) / (now - last[0]) if last is not None and now > last[0] and value >= last[1] else None

    async def _end_file(self, backlog: LogBacklog) -> None:
        """End a log file that holds changes and was not full after ``seal_after``, so that they come into the vaults."""
        source, now = self._origin.source, self._clock.monotonic()
        mark = backlog.change_mark or str(backlog.position.value)
        segment = self._origin.segment_bytes
        number = backlog.position.value // segment if segment is not None else 0
        if mark == self._ended_mark:
            self._begun = None
        elif self._begun is None or self._begun[1] != number:
            self._begun = (now, number)
        elif source is not None and now - self._begun[0] >= self._pause():
            try:
                await source.end_file()
            except Denied as error:
                await self._news.trouble("backup.log_not_ended", error)
            else:
                await self._news.well("backup.log_not_ended")
                self._ended_mark, self._ending_seconds = mark, self._clock.monotonic() - now
            self._begun = None

    def _pause(self) -> float:
        return max(self._settings.seal_after.total_seconds(), _PAUSES * self._ending_seconds)

    async def _find_holes(self) -> None:
        origin, seen = self._origin, dict[tuple[int, int], MissingLog]()
        async with self._store.read() as connection:
            recent = await read_recent_log(connection, origin.cluster.name, origin.system_id, origin.timeline)
        if recent.start is not None:
            found = coverage(recent.logs, recent.switches, start=recent.start, timeline=origin.timeline)
            seen = {(hole.timeline, hole.start.value): hole for hole in found.missing}
        self._holes = {key: self._holes.get(key, 0) + 1 for key in seen}
        for key, rounds in self._holes.items():
            if rounds == _HOLE_ROUNDS:
                hole = seen[key]
                reason = f"log is missing from {hole.start.text} to {hole.end.text} of timeline {hole.timeline}"
                await self._gaps.open(
                    system_id=self._origin.system_id,
                    timeline=hole.timeline,
                    start=hole.start.value,
                    end=hole.end.value,
                    reason=reason,
                )
