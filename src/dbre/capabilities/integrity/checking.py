"""Every check of an engine on one database, as findings."""

from collections.abc import AsyncIterator, Sequence

from dbre.capabilities.integrity.opening import OpenServer
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError, Unreachable
from dbre.core.text import printable
from dbre.ports.integrity import IntegrityReport

__all__ = ["findings_of", "run_checks"]

_SHOWN = 20  # faults of one check; all of them are counted


async def run_checks(opened: OpenServer, names: Sequence[str]) -> AsyncIterator[IntegrityReport]:
    """Run checks one after another; one that cannot run says why instead of what it found. Raises: UsageError, Unreachable."""
    known = opened.server.integrity.checks()
    for name in names or known:
        try:
            yield await opened.server.integrity.check(name)
        except Unreachable:
            raise
        except DbreError as error:
            if name not in known:
                raise
            missing = printable(error.message)
            yield IntegrityReport(check=name, looked_at=0, unit="", faults=(), missing=missing, seconds=0.0)


def findings_of(report: IntegrityReport, *, subject: str) -> list[Finding]:
    """What one check found; a check that could not look is a finding too, because nothing is known."""
    found = [
        Finding(
            rule=f"integrity.{one.rule}",
            severity=Severity.ERROR if one.rule == "collation_changed" else Severity.CRITICAL,
            subject=subject,
            summary=f"{printable(one.subject, limit=200)}: {printable(one.detail, limit=300)}",
            evidence={"check": report.check},
            fix=_FIXES.get(one.rule),
        )
        for one in report.faults[:_SHOWN]
    ]
    if len(report.faults) > _SHOWN:
        found.append(
            Finding(
                rule="integrity.more",
                severity=Severity.CRITICAL,
                subject=subject,
                summary=f"{len(report.faults) - _SHOWN} more faults of check {report.check}",
            )
        )
    if report.missing is not None:
        found.append(
            Finding(
                rule="integrity.not_checked",
                severity=Severity.INFO,
                subject=subject,
                summary=f"{report.check}: {report.missing}",
            )
        )
    return found


_FIXES = {
    "index_damaged": "rebuild the index: REINDEX INDEX CONCURRENTLY; then find out what damaged it",
    "index_invalid": "drop it or rebuild it: REINDEX INDEX CONCURRENTLY",
    "page_checksum": "stop writing to it; restore the table from a proven backup: dbre backup restore-table",
    "heap_damaged": "stop writing to it; restore the table from a proven backup: dbre backup restore-table",
    "constraint_broken": "find out which side lost rows: dbre backup diff",
    "sequence_behind": "set the sequence past the highest value before the next insert",
    "collation_changed": "rebuild the indexes that sort text, then ALTER DATABASE ... REFRESH COLLATION VERSION",
}
