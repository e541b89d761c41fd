"""A report for people, scripts and monitoring."""

from collections.abc import Iterator

from dbre.capabilities.consistency.report import Anomaly, Report, Verdict
from dbre.core.errors import ExitCode
from dbre.core.text import counted, printable
from dbre.core.view import PluginState, PluginStatus, Row, View

__all__ = ["report_view"]

_CODES = {Verdict.OK: ExitCode.OK, Verdict.ANOMALY: ExitCode.FINDINGS, Verdict.UNKNOWN: ExitCode.NEEDS_OPERATOR}
_STATES = {Verdict.OK: PluginState.OK, Verdict.ANOMALY: PluginState.CRITICAL, Verdict.UNKNOWN: PluginState.UNKNOWN}


def report_view(report: Report, name: str) -> View:
    """What ``dbre check`` shows, and the code with which it ends."""
    first = _headline(report)
    return View(
        kind="ConsistencyReport",
        items=[_row(report, name)],
        single=True,
        text="\n".join(_lines(report, first)),
        exit_code=_CODES[report.verdict],
        plugin=PluginStatus(state=_STATES[report.verdict], text=first),
    )


def _row(report: Report, name: str) -> Row:
    return {
        "name": printable(name),
        "verdict": report.verdict.value,
        "workload": report.workload,
        "model": report.model,
        "calls": report.calls,
        "ok_calls": report.ok_calls,
        "unknown_calls": report.unknown_calls,
        "failed_calls": report.failed_calls,
        "anomalies": [
            {
                "name": one.name,
                "count": one.count,
                "is_violation": one.is_violation,
                "summary": one.summary,
                "proof": [printable(line) for line in one.proof],
                "ops": list(one.ops),
            }
            for one in report.anomalies
        ],
        "unknown": [printable(one) for one in report.unknown],
        "excluded_models": list(report.excluded),
        "facts": dict(report.facts),
    }


def _headline(report: Report) -> str:
    judged = f"{report.workload} of {counted(report.calls, 'call')}"
    if report.verdict is Verdict.OK:
        return f"ok: {judged} is as {report.model} promises"
    if report.verdict is Verdict.UNKNOWN:
        return f"unknown: {judged} was not shown to be as {report.model} promises"
    broken = ", ".join(one.name for one in report.anomalies if one.is_violation)
    return f"anomaly: {judged} is not as {report.model} promises: {broken}"


def _lines(report: Report, first: str) -> Iterator[str]:
    yield printable(first)
    yield f"{report.ok_calls} ok, {report.unknown_calls} with an unknown outcome, {report.failed_calls} failed"
    if report.facts:
        yield ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in report.facts.items())
    for reason in report.unknown:
        yield f"not decided: {printable(reason)}"
    for one in report.anomalies:
        yield ""
        yield from _told(one, report.model)
    if report.excluded:
        yield ""
        yield f"so it cannot be: {', '.join(report.excluded)}, nor anything stronger"


def _told(anomaly: Anomaly, model: str) -> Iterator[str]:
    allowed = "" if anomaly.is_violation else f" - {model} allows it"
    yield f"{anomaly.name} (found {counted(anomaly.count, 'time')}): {anomaly.summary}{allowed}"
    yield from (f"  {printable(line)}" for line in anomaly.proof)
