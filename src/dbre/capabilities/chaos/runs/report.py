"""The resilience report of one run, as one document: commands, pages, the API and files show the same."""

from datetime import datetime
from typing import Any

from dbre.capabilities.chaos.runs.findings import lessons_of
from dbre.capabilities.chaos.runs.measures import detection_of, outage_seconds, recovery_seconds, signs_of, slices_of
from dbre.capabilities.chaos.runs.model import Run, moment
from dbre.capabilities.chaos.runs.score import RunScore, run_score
from dbre.core.units import format_duration

__all__ = ["report_of", "run_row"]


def report_of(run: Run, previous: Run | None) -> dict[str, Any]:
    """Everything that is to be told of a run. ``previous`` is the last one that asked the same; None: there was none."""
    score, goals = run_score(run), run.document.objectives
    found, limit = detection_of(run), goals.detection.total_seconds()
    return {
        **run_row(run),
        "question": run.document.title or run.title,
        "reason": run.observed.get("reason"),
        "revert_seconds": run.observed.get("revert_seconds"),
        "faults": [_fault(one) for one in run.faults],
        "hypothesis": _hypothesis(run),
        "slos": [
            {
                "slo": one.slo,
                "objective_ratio": one.objective,
                "before_ratio": one.before,
                "during_ratio": one.during,
                "after_ratio": one.after,
                "bad_during": one.bad,
                "budget_spent_ratio": one.spent,
                "budget_remaining_ratio": one.remaining,
            }
            for one in slices_of(run)
        ],
        "is_final": run.is_final,
        "detection": {
            "seconds": found.seconds if found is not None else None,
            "by": found.by if found is not None else None,
            "objective_seconds": limit,
            "signs": [{"seconds": one.seconds, "by": one.by} for one in signs_of(run)],
        },
        "recovery": {
            "outage_seconds": outage_seconds(run),
            "recovery_seconds": recovery_seconds(run),
            "objective_seconds": goals.recovery.total_seconds(),
        },
        "clients": run.observed.get("clients"),
        "score": _score(score),
        "findings": [{"severity": one.severity.value, "summary": one.summary, "remedy": one.remedy} for one in lessons_of(run)],
        "comparison": _comparison(run, previous) if previous is not None else None,
    }


def run_row(run: Run) -> dict[str, Any]:
    """One line of a list."""
    score = run_score(run)
    return {
        "id": str(run.id),
        "suite_id": str(run.suite_id) if run.suite_id is not None else None,
        "cluster": run.cluster,
        "title": run.title,
        "entry": run.entry,
        "state": run.state.value,
        "began_at": _text(run.began_at),
        "ended_at": _text(run.ended_at),
        "score_ratio": score.value if score is not None else None,
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at is not None else None


def _fault(one: Any) -> dict[str, Any]:
    on, off = moment(one.get("on_at")), moment(one.get("off_at"))
    return {
        "fault": one.get("fault"),
        "instance": one.get("instance"),
        "on_at": _text(on),
        "off_at": _text(off),
        "seconds": (off - on).total_seconds() if on is not None and off is not None else None,
        "is_reverted": bool(one.get("is_reverted")) if on is not None or one.get("is_reverted") else None,  # None: never on
        "detail": one.get("detail"),
        "why": one.get("why"),
    }


def _hypothesis(run: Run) -> list[dict[str, Any]]:
    found = []
    for when in ("before", "during", "after"):
        for one in run.observed.get(when) or ():
            detail = one.get("detail")
            if when == "during":
                bad, good = int(one.get("bad") or 0), int(one.get("good") or 0)
                detail = _during(run, one, good, bad)
            holds = one.get("holds", not one.get("bad"))
            found.append({"probe": one.get("probe"), "when": when, "holds": bool(holds), "detail": detail})
    return found


def _during(run: Run, one: Any, good: int, bad: int) -> str:
    if not bad:
        return f"{good} of {good} held"
    tolerated = next((probe.tolerates for probe in run.document.hypothesis if probe.name == one.get("probe")), None)
    limit = f", {format_duration(tolerated.total_seconds())} are tolerated" if tolerated is not None else ""
    lasted = format_duration(float(one.get("longest_seconds") or 0.0))
    return f"{good} of {good + bad} held, it failed for {lasted} at most{limit}; first: {one.get('first_bad')}"


def _score(score: RunScore | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {
        "value_ratio": score.value,
        "slo_kept": score.slo_kept,
        "recovery_ratio": score.recovery,
        "noticed_in_time": score.detected,
        "gates": list(score.gates),
    }


def _comparison(run: Run, previous: Run) -> dict[str, Any]:
    """What became better or worse; a number that one of both lacks is not compared."""
    changes = []
    numbers = (
        ("score", _value(previous), _value(run), True),
        ("outage", outage_seconds(previous), outage_seconds(run), False),
        ("recovery", recovery_seconds(previous), recovery_seconds(run), False),
        ("detection", _noticed(previous), _noticed(run), False),
    )
    for what, before, now, more_is_better in numbers:
        if before is None or now is None:
            continue
        word = "same" if abs(now - before) <= 0.05 * max(abs(before), abs(now)) else None
        changes.append({"what": what, "before": before, "now": now, "word": word or _word(now > before, more_is_better)})
    return {"run": str(previous.id), "began_at": _text(previous.began_at), "changes": changes}


def _word(is_more: bool, more_is_better: bool) -> str:
    return "better" if is_more == more_is_better else "worse"


def _value(run: Run) -> float | None:
    score = run_score(run)
    return score.value if score is not None else None


def _noticed(run: Run) -> float | None:
    found = detection_of(run)
    return found.seconds if found is not None else None
