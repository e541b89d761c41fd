"""Client truth for people, scripts and monitoring."""

from collections.abc import Iterator
from pathlib import Path

from dbre.capabilities.ha.clients.timing import Gap, budget_share
from dbre.capabilities.ha.clients.truth import ClientTruth
from dbre.core.errors import ExitCode, UsageError
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.core.view import PluginState, PluginStatus, Row, View

__all__ = ["ratio_of", "truth_document", "truth_view"]

_CODES = {"ok": ExitCode.OK, "anomaly": ExitCode.FINDINGS, "unknown": ExitCode.NEEDS_OPERATOR}
_STATES = {"ok": PluginState.OK, "anomaly": PluginState.CRITICAL, "unknown": PluginState.UNKNOWN}
_SHOWN = 5


def ratio_of(percent: float | None) -> float | None:
    """An objective in percent as a ratio. Raises: UsageError unless it lies between 0 and 100."""
    if percent is None:
        return None
    if not 0 < percent < 100:
        raise UsageError(f"an objective of {percent:g} % is none: it lies between 0 and 100", hint="such as 99.9")
    return percent / 100


def truth_view(
    truth: ClientTruth, *, cluster: str, history: Path, objective: float | None = None, notes: list[str] | None = None
) -> View:
    """What ``dbre ha probe`` shows, and the code with which it ends."""
    headline = _headline(truth)
    return View(
        kind="ClientTruth",
        items=[{"cluster": cluster, "history": str(history), **truth_document(truth, objective)}],
        single=True,
        text="\n".join([printable(headline), *_lines(truth, objective), f"history: {history} (dbre check)"]) + "\n",
        notes=[*truth.warnings, *(notes or ())],
        exit_code=_CODES[truth.verdict.verdict],
        plugin=PluginStatus(state=_STATES[truth.verdict.verdict], text=headline),
    )


def truth_document(truth: ClientTruth, objective: float | None = None) -> Row:
    """All of it as data; what is not known is null."""
    timing, balance = truth.timing, truth.balance
    return {
        "workload": truth.workload.value,
        "seconds": truth.seconds,
        "acts": truth.acts,
        "acknowledged": truth.acknowledged,
        "failed": truth.failed,
        "unknown": truth.unknown,
        "missed": truth.missed,
        "outage": _gap(timing.outage),
        "outage_by_client": {name: _gap(gap) for name, gap in timing.outage_by_client.items()},
        "first_ack_seconds": timing.first_ack_seconds,
        "ninety_percent_seconds": timing.ninety_percent_seconds,
        "baseline_per_second": timing.baseline_per_second,
        "bad_minutes": timing.bad_minutes,
        "budget_ratio": budget_share(timing.bad_minutes, objective) if objective is not None else None,
        "p50_seconds": timing.p50_seconds,
        "p99_seconds": timing.p99_seconds,
        "max_seconds": timing.max_seconds,
        "nodes": [
            {"node": one.node, "first_at": one.first_at, "last_at": one.last_at, "acknowledged": one.count}
            for one in truth.nodes
        ],
        "overlap": truth.overlap,
        "lost": _ids(balance and balance.lost),
        "phantom": _ids(balance and balance.phantom),
        "duplicate": _ids(balance and balance.duplicate),
        "resurrected": _ids(balance and balance.resurrected),
        "unexpected": _ids(balance and balance.unexpected),
        "stale": _ids(balance and balance.stale),
        "verdict": truth.verdict.verdict,
        "model": truth.verdict.model,
        "anomalies": [
            {
                "name": one.name,
                "count": one.count,
                "is_violation": one.is_violation,
                "summary": one.summary,
                "proof": [printable(line) for line in one.proof],
            }
            for one in truth.verdict.anomalies
        ],
        "undecided": [printable(one) for one in truth.verdict.unknown],
        "reasons": {printable(reason): count for reason, count in truth.reasons},
        "warnings": [printable(one) for one in truth.warnings],
    }


def _ids(found: object) -> list[int] | None:
    return list(found) if isinstance(found, list | tuple) else None


def _gap(gap: Gap | None) -> Row | None:
    if gap is None:
        return None
    return {"began_at": gap.began_at, "ended_at": gap.ended_at, "seconds": gap.seconds, "is_open": gap.is_open}


def _headline(truth: ClientTruth) -> str:
    judged = f"{counted(truth.acts, 'act')} of {truth.workload.value}"
    if truth.verdict.verdict == "ok":
        return f"ok: {judged}: all that was promised is there"
    if truth.verdict.verdict == "unknown":
        return f"unknown: {judged}: it was not shown that what was promised is there"
    broken = ", ".join(f"{one.name} {one.count}" for one in truth.verdict.anomalies if one.is_violation)
    return f"anomaly: {judged}: {broken}"


def _lines(truth: ClientTruth, objective: float | None) -> Iterator[str]:
    timing = truth.timing
    yield (
        f"{truth.acknowledged} acknowledged, {truth.failed} failed, {truth.unknown} unknown"
        + (f", {truth.missed} missed by the clients themselves" if truth.missed else "")
    )
    if timing.outage is not None:
        gap = timing.outage
        until = "and none came until the end" if gap.is_open else f"until {gap.ended_at:.2f}s"
        yield f"longest time without an acknowledged write: {format_duration(gap.seconds)}, from {gap.began_at:.2f}s {until}"
    if timing.ninety_percent_seconds is not None and timing.baseline_per_second is not None:
        usual = f"of {timing.baseline_per_second:.1f} writes/s"
        yield f"90 % {usual} again after {format_duration(timing.ninety_percent_seconds)}"
    if timing.first_ack_seconds is not None:
        yield f"first acknowledgement after {format_duration(timing.first_ack_seconds)}"
    if timing.p50_seconds is not None and timing.p99_seconds is not None and timing.max_seconds is not None:
        p50, p99, worst = (format_duration(one) for one in (timing.p50_seconds, timing.p99_seconds, timing.max_seconds))
        yield f"latency from the due moment: p50 {p50}, p99 {p99}, max {worst}"
    budget = ""
    if objective is not None:
        budget = f", {budget_share(timing.bad_minutes, objective):.2%} of the budget of 30 days at {objective:.6g}"
    yield f"bad minutes: {timing.bad_minutes:.3f}{budget}"
    for node in truth.nodes:
        span = f"from {node.first_at:.2f}s to {node.last_at:.2f}s"
        yield f"{printable(node.node)} acknowledged {counted(node.count, 'write')} {span}"
    yield from _accounts(truth)


def _accounts(truth: ClientTruth) -> Iterator[str]:
    if truth.overlap:
        yield f"overlap: {counted(truth.overlap, 'write')} acknowledged by an old node after a new one had begun"
    if truth.balance is not None:
        found = truth.balance
        yield (
            f"lost {len(found.lost)}, phantom {len(found.phantom)}, duplicate {len(found.duplicate)}, "
            f"resurrected {len(found.resurrected)}, unexpected {len(found.unexpected)}, stale {len(found.stale)}"
        )
    for one in truth.verdict.anomalies:
        yield f"{one.name} ({one.count}): {one.summary}{'' if one.is_violation else f' - {truth.verdict.model} allows it'}"
        yield from (f"  {printable(line)}" for line in one.proof)
    for reason in truth.verdict.unknown:
        yield f"not decided: {printable(reason)}"
    for reason, count in truth.reasons[:_SHOWN]:
        yield f"{counted(count, 'time')}: {printable(reason)}"
