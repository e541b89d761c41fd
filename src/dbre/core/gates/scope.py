"""Which operations a rule of a gate is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dbre.core.gates.model import GateQuestion
from dbre.core.operation.plan import Risk
from dbre.core.selector import Selector

__all__ = ["EXEMPT_TAGS", "Scope", "is_urgent", "matches_any", "rank"]

EXEMPT_TAGS = ("failover", "remedy", "restore", "rollback", "security")
"""Tags of plans that repair what is broken: rules exempt them unless they say otherwise, and gates fail open for them.

``remedy`` ends what an alert or a finding tells (a disk that fills up): held by that very alert it would never end.
"""

_EVERYTHING = Selector()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Kinds, risk, clusters and exempt tags. Without ``kinds`` every operation that changes something is meant."""

    kinds: tuple[str, ...] | None = None  # with * and ?: settings.*
    risk: Risk = Risk.MILD  # at least
    selector: Selector = _EVERYTHING
    exempt: tuple[str, ...] = EXEMPT_TAGS

    def covers(self, question: GateQuestion) -> bool:
        """Whether the rule is about the operation of the question."""
        planned = question.planned
        is_kind = rank(planned.plan.risk) >= rank(self.risk) if self.kinds is None else matches_any(planned.kind, self.kinds)
        is_exempt = any(tag in self.exempt for tag in planned.plan.tags)
        return is_kind and not is_exempt and self.selector.allows(question.labels)


def rank(risk: Risk) -> int:
    """0 for read to 3 for severe."""
    return list(Risk).index(risk)


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits a pattern; upper and lower case differ.

    >>> matches_any("settings.apply", ["chaos.*", "settings.*"])
    True
    """
    return any(fnmatchcase(name, one) for one in patterns)


def is_urgent(question: GateQuestion) -> bool:
    """Whether the operation reads only, or repairs what is broken: a gate without an answer does not stop it."""
    plan = question.planned.plan
    return plan.risk is Risk.READ or any(tag in EXEMPT_TAGS for tag in plan.tags)
