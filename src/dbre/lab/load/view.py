"""A load's report for people and for programs."""

from dbre.core.errors import ExitCode
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.core.view import Row, View
from dbre.lab.load.model import LedgerAudit, LoadReport, LoadSummary, Outage

__all__ = ["load_view"]

_HEAD = ("", "SCHEDULED", "OK", "FAILED", "LATE", "MISSED", "P50", "P99", "MAX")


def load_view(lab: str, report: LoadReport, audit: LedgerAudit) -> View:
    """The report as one document; findings if an acknowledged write is lost."""
    document: Row = {
        "lab": lab,
        "started_at": report.started_at,
        "ended_at": report.ended_at,
        "rate_per_second": report.plan.rate,
        "deadline_seconds": report.plan.deadline_seconds,
        "write": _summary(report.writes),
        "read": _summary(report.reads),
        "outages": [_outage(one) for one in report.outages],
        "ledger": {
            "run": report.ledger.run,
            "acknowledged": len(report.ledger.acknowledged),
            "lost": list(audit.lost),
            "unacknowledged": len(report.ledger.unacknowledged),
            "unacknowledged_stored": list(audit.unacknowledged_stored),
        },
    }
    code = ExitCode.OK if audit.is_clean else ExitCode.FINDINGS
    return View(kind="LoadReport", items=[document], single=True, text=_text(report, audit), exit_code=code)


def _summary(summary: LoadSummary) -> Row:
    return {
        "scheduled": summary.scheduled,
        "succeeded": summary.succeeded,
        "failed": summary.failed,
        "missed": summary.missed,
        "late": summary.late,
        "p50_seconds": summary.p50_seconds,
        "p99_seconds": summary.p99_seconds,
        "max_seconds": summary.max_seconds,
        "reasons": dict(summary.reasons),
        "seconds": [
            {"second": one.second, "succeeded": one.succeeded, "failed": one.failed, "late": one.late}
            for one in summary.seconds
        ],
    }


def _outage(outage: Outage) -> Row:
    return {
        "kind": str(outage.kind),
        "started_at": outage.started_at,
        "ended_at": outage.ended_at,
        "seconds": outage.seconds,
        "failed_operations": outage.failed_operations,
        "reason": outage.reason,
    }


def _text(report: LoadReport, audit: LedgerAudit) -> str:
    lines = [_cells(_HEAD), *(_cells(_counts(one)) for one in (report.writes, report.reads)), ""]
    lines += [_sentence(one) for one in report.outages] or ["clients did not suffer"]
    lines.append(
        f"{len(report.ledger.acknowledged)} acknowledged writes, {len(audit.lost)} lost; "
        f"{len(report.ledger.unacknowledged)} not acknowledged, {len(audit.unacknowledged_stored)} of them stored"
    )
    return "\n".join(lines) + "\n"


def _counts(summary: LoadSummary) -> tuple[str, ...]:
    counts = (summary.scheduled, summary.succeeded, summary.failed, summary.late, summary.missed)
    latencies = (summary.p50_seconds, summary.p99_seconds, summary.max_seconds)
    return (str(summary.kind), *map(str, counts), *("-" if one is None else f"{one * 1000:.1f}ms" for one in latencies))


def _cells(words: tuple[str, ...]) -> str:
    return words[0].ljust(6) + "".join(word.rjust(11) for word in words[1:])


def _sentence(outage: Outage) -> str:
    return (
        f"{outage.kind}s failed for {format_duration(outage.seconds)} from {outage.started_at:%H:%M:%S.%f} UTC: "
        f"{outage.failed_operations} operations, {printable(outage.reason)}"
    )
