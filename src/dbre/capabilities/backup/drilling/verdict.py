"""From results to a verdict; arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.drilling.levels import LEVELS, NOTHING_PASSED
from dbre.capabilities.backup.model import DrillVerdict
from dbre.core.text import counted
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["Judgement", "judge"]

_BOOTED = "L3"
_SOUND = "L4"
_COMPARED = "L5"
_DECISIVE_OF_SOUND = "extensions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the results of a drill amount to."""

    verdict: DrillVerdict
    reason: str  # one sentence
    level: str  # the highest level that passed with nothing failed below it; "none"


def judge(results: Sequence[RestoredResult]) -> Judgement:
    """Proved is what was brought to its target and whose data were compared with something (backup.md 4.6: at least L3 and L5).

    One failure makes it a failure. A check of level L4 that could not look (no amcheck, no page checksums) is told and stands
    in nobody's way; a missing extension does, as the data that need it cannot be read here.
    """
    level = _highest(results)
    failures = [one for one in results if one.outcome is CheckOutcome.FAIL]
    if failures:
        return Judgement(verdict=DrillVerdict.FAIL, reason=_told(failures), level=level)
    unknown = [one for one in results if one.outcome is CheckOutcome.INCONCLUSIVE]
    decisive = [one for one in unknown if one.level != _SOUND or one.name == _DECISIVE_OF_SOUND]
    if decisive:
        return Judgement(verdict=DrillVerdict.INCONCLUSIVE, reason=_told(decisive), level=level)
    reached = {one.level for one in results if one.outcome is CheckOutcome.PASS}
    if _BOOTED not in reached:
        return Judgement(verdict=DrillVerdict.INCONCLUSIVE, reason="no server came to its target", level=level)
    if _COMPARED not in reached:
        reason = "a server came to its target, and nothing says whether its data are right: enable the canary, or ask a query"
        return Judgement(verdict=DrillVerdict.INCONCLUSIVE, reason=reason, level=level)
    reason = "; ".join(one.detail for one in results if one.level == _BOOTED and one.outcome is CheckOutcome.PASS)
    if unknown:
        reason += f"; not looked at: {_told(unknown)}"
    return Judgement(verdict=DrillVerdict.PASS, reason=reason, level=level)


def _told(results: Sequence[RestoredResult]) -> str:
    first = results[0]
    more = f"; and {counted(len(results) - 1, 'more result')} like it" if len(results) > 1 else ""
    return f"{first.level} {first.name}: {first.detail}{more}"


def _highest(results: Sequence[RestoredResult]) -> str:
    worst = min((one.level for one in results if one.outcome is CheckOutcome.FAIL), default="L9")
    good = {one.level for one in results if one.outcome is CheckOutcome.PASS and one.level < worst}
    return max((one for one in LEVELS if one in good), default=NOTHING_PASSED)
