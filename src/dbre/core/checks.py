"""Findings, and the checks that make them: read-only looks at something, each with a stable name."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dbre.core.errors import ExitCode, UsageError
from dbre.core.text import closest, quoted

__all__ = ["Check", "CheckRegistry", "Finding", "Severity", "exit_code_of", "worst_first"]


class Severity(StrEnum):
    """How much a finding matters; compare by ``weight``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """0 for info to 3 for critical."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found. Texts may hold names from databases: made printable before they get here."""

    rule: str  # stable and dotted: fleet.unreachable
    severity: Severity
    subject: str  # what it is about: an instance, a cluster, an SLO
    summary: str  # one sentence with numbers and units
    evidence: Mapping[str, object] = field(default_factory=dict)
    fix: str | None = None  # what to do next


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look that changes nothing."""

    id: str
    title: str
    run: Callable[..., Awaitable[Sequence[Finding]]]


class CheckRegistry:
    """The checks that exist, by their id; the composition root fills it."""

    def __init__(self, checks: Iterable[Check] = ()) -> None:
        self._checks: dict[str, Check] = {}
        for check in checks:
            self.add(check)

    def add(self, check: Check) -> None:
        """Register a check. Raises: ValueError where its id is taken, which is a defect of the program."""
        if check.id in self._checks:
            raise ValueError(f"check {check.id} is registered twice")
        self._checks[check.id] = check

    def get(self, identifier: str) -> Check:
        """The check of that id. Raises: UsageError with a did-you-mean."""
        if identifier not in self._checks:
            near = closest(identifier, self._checks)
            hint = f"did you mean {near}?" if near else f"the checks are {', '.join(sorted(self._checks)) or 'none'}"
            raise UsageError(f"no check is named {quoted(identifier, limit=100)}", hint=hint)
        return self._checks[identifier]

    def all(self) -> tuple[Check, ...]:
        """Every check, in the order of registration."""
        return tuple(self._checks.values())


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, the worst first, then by subject and rule."""
    return sorted(findings, key=lambda finding: (-finding.severity.weight, finding.subject, finding.rule))


def exit_code_of(findings: Iterable[Finding], *, fail_on: Severity) -> ExitCode:
    """``FINDINGS`` if any finding is at or above ``fail_on``, else ``OK``."""
    return ExitCode.FINDINGS if any(one.severity.weight >= fail_on.weight for one in findings) else ExitCode.OK
