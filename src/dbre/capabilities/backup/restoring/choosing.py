"""From which sets a target is recovered, and with which log. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Coverage, coverage
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.restoring.chains import Chain, candidates
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.lineage import Line, switches_of
from dbre.capabilities.backup.restoring.reach import Reach, is_short_at, reach_of, value_by
from dbre.capabilities.backup.restoring.weighing import goes_farther, why_other
from dbre.capabilities.backup.restoring.wording import holes_words, moment_words
from dbre.core.text import printable
from dbre.ports.backup.model import LogPosition, Problem, RecoveryTarget, TargetKind

__all__ = ["Found", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A chain and the log that goes with it."""

    chain: Chain
    covered: Coverage | None  # None: no log goes with it
    reach: Reach | None
    passed_over: tuple[str, ...]
    notes: tuple[Problem, ...] = ()  # why it is not simply the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A catalog, a line of its timelines, and what is looked for along it."""

    catalog: Catalog
    line: Line
    target: RecoveryTarget
    at: datetime | None  # of a target that is a moment
    samples: Sequence[ClockSample] = ()
    choice: RestoreChoice = field(default_factory=RestoreChoice)

    def found(self) -> Found:
        """The newest chain that can be used; one that log leads on from before one that is its own moment only.

        A copy without log (a dump) that is newer than the newest copy with log is taken only where it holds more than that
        log: for all that there is, and for a moment that the log does not reach. Raises: NoSetForTarget.
        """
        bare: Found | None = None
        passed: list[str] = []
        for chain in candidates(
            self.catalog, self.line, before=self.at, until=self._position_value(), set_id=self.choice.set_id
        ):
            one, fault = self._with_log(chain)
            if one is None:
                passed.append(fault or "")
                continue
            if one.covered is None and self._wants_log():
                bare = bare or replace(one, passed_over=tuple(passed))
                continue
            return self._weighed(bare, replace(one, passed_over=tuple(passed)))
        if bare is not None:
            return bare
        raise self._nothing(passed)

    def _wants_log(self) -> bool:
        """Whether a chain with log may be better than a newer one without."""
        return self.choice.set_id is None and self.target.kind is not TargetKind.IMMEDIATE

    def _weighed(self, bare: Found | None, logged: Found) -> Found:
        if bare is None or logged.covered is None or logged.reach is None:
            return logged
        newer, older = bare.chain.newest, logged.chain.newest
        is_short = newer.stopped_at is not None and is_short_at(logged.covered, self.line, self.samples, newer.stopped_at)
        is_logged = goes_farther(
            self.target, logged.covered, logged.reach, newer, is_short=is_short, received=self.choice.received
        )
        note = why_other(newer, older, logged.reach, is_logged=is_logged)
        return replace(logged if is_logged else bare, notes=(note,))

    def _position_value(self) -> int | None:
        position = self.choice.position
        return position.value if position is not None and self.target.kind is TargetKind.POSITION else None

    def _with_log(self, chain: Chain) -> tuple[Found | None, str | None]:
        """A chain with its log, or why it cannot be used."""
        newest = chain.newest
        if chain.fault is not None:
            return None, chain.fault
        if newest.start is None or newest.stop is None:
            return Found(chain=chain, covered=None, reach=None, passed_over=()), None
        if (fault := self._without_own_log(newest)) is not None:
            return None, fault
        covered = self._coverage(newest.needs_log_from or newest.start, self._until(newest))
        stopped_at = newest.stopped_at or newest.started_at
        reach = reach_of(covered, self.line, self.samples, at=self.at, stop=newest.stop, stopped_at=stopped_at)
        return Found(chain=chain, covered=covered, reach=reach, passed_over=()), None

    def _until(self, newest: BackupSet) -> int | None:
        """Up to where log is needed; None: as far as there is any."""
        assert newest.stop is not None  # noqa: S101 -- for the type: callers looked
        if self.target.kind is TargetKind.IMMEDIATE:
            return newest.stop.value
        position = self._position_value()
        by_clock = value_by(self.line, self.samples, self.at) if self.at is not None else None
        wanted = position if position is not None else by_clock
        return None if wanted is None else max(wanted, newest.stop.value)

    def _coverage(self, start: LogPosition, until: int | None) -> Coverage:
        line = self.line
        switches = switches_of(self.catalog, line.system_id)
        return coverage(self.catalog.logs, switches, start=start, timeline=line.timeline, until=until, system_id=line.system_id)

    def _without_own_log(self, one: BackupSet) -> str | None:
        """Without the log from its start to its stop a set never becomes consistent."""
        assert one.start is not None and one.stop is not None  # noqa: S101, PT018 -- for the type: callers looked
        if one.holds_its_log:
            return None
        covered = self._coverage(one.start, one.stop.value)
        return f"set {one.id} needs {holes_words(covered.missing)}, which is missing" if covered.missing else None

    def _nothing(self, passed: Sequence[str]) -> NoSetForTarget:
        if passed:
            return NoSetForTarget(
                "no set before the target can be used: " + "; ".join(passed[:5]), hint="dbre backup map CLUSTER"
            )
        timeline, given = self.line.timeline, self.choice.set_id
        usable = [one.newest for one in candidates(self.catalog, self.line, set_id=given) if one.fault is None]
        if given is not None and not usable:
            return NoSetForTarget(
                f"set {printable(given, limit=100)} is not a sealed set on the way to timeline {timeline}",
                hint="dbre backup list",
            )
        if not usable:
            return NoSetForTarget(
                f"no set lies on the way to timeline {timeline}", hint="dbre backup map CLUSTER shows what can be recovered"
            )
        first = min(usable, key=lambda one: one.started_at)
        what = "the target" if self.target.at is None else moment_words(self.target.at)
        ended = moment_words(first.stopped_at)
        stop = f" (log position {printable(first.stop.text)})" if first.stop is not None else ""
        return NoSetForTarget(
            f"{what} lies before everything that can be recovered: set {first.id} is consistent from {ended} on{stop}",
            hint=f"choose a moment after {ended}, or --immediate --set {first.id} for that set itself",
            context={"set": first.id, "earliest": first.stopped_at.isoformat() if first.stopped_at else None},
        )
