"""An opinion as the document that ``-o json`` prints."""

from datetime import datetime

from dbre.capabilities.backup.model import Drill
from dbre.capabilities.backup.second_opinion.drilling import ForeignDrill
from dbre.capabilities.backup.second_opinion.model import LogHole, Opinion, SetOpinion
from dbre.core.view import Row
from dbre.ports.backup.model import LogPosition

__all__ = ["opinion_row"]


def opinion_row(opinion: Opinion, drilled: ForeignDrill | None, recorded: Drill | None) -> Row:
    """Everything that was found out; unknown is null."""
    exposure, plan, forecast = opinion.exposure, opinion.plan, opinion.forecast
    return {
        "repository": opinion.repository,
        "tool": opinion.tool.name,
        "tool_version": opinion.tool.version,
        "is_proved_adapter": opinion.is_proved,
        "engine": opinion.engine,
        "cluster": opinion.cluster,
        "is_sound": opinion.is_sound,
        "sets": [_set(one) for one in opinion.sets],
        "log_files": len(opinion.catalog.logs),
        "holes": [_hole(one) for one in opinion.holes],
        "intervals": [
            {
                "system_id": one.system_id,
                "timeline": one.timeline,
                "start": one.start.text,
                "end": one.end.text,
                "start_at": _moment(one.start_at),
                "end_at": _moment(one.end_at),
                "sets": list(one.set_ids),
            }
            for one in opinion.intervals
        ],
        "exposure": {
            "until": _text(exposure.until),
            "stored_at": _moment(exposure.stored_at),
            "server": _text(exposure.server),
            "bytes": exposure.bytes,
            "seconds": exposure.seconds,
            "reason_unknown": exposure.reason_unknown,
        },
        "restore": None
        if plan is None
        else {
            "sets": [one.id for one in plan.chain],
            "log_files": len(plan.logs),
            "bytes_stored": plan.bytes_stored,
            "bytes_replay": plan.bytes_replay,
            "forecast_seconds": forecast.total_seconds if forecast is not None else None,
            "forecast_basis": forecast.basis if forecast is not None else None,
        },
        "problems": [
            {"rule": one.rule, "message": one.message, "hint": one.hint, "is_blocking": one.is_blocking}
            for one in opinion.problems
        ],
        "verified": None
        if opinion.verified is None
        else {
            "files": opinion.verified.files,
            "bytes": opinion.verified.bytes,
            "seconds": round(opinion.verified.seconds, 3),
            "faults": [{"rule": one.rule, "subject": one.subject, "detail": one.detail} for one in opinion.verified.faults],
            "remarks": list(opinion.verified.remarks),
        },
        "drill": None if drilled is None else _drill(drilled, recorded),
    }


def _set(one: SetOpinion) -> Row:
    found = one.found
    return {
        "label": found.label,
        "kind": found.kind.value,
        "parent": found.parent,
        "system_id": found.system_id,
        "started_at": _moment(found.started_at),
        "stopped_at": _moment(found.stopped_at),
        "start": _text(found.start),
        "stop": _text(found.stop),
        "bytes_stored": found.bytes_stored,
        "reaches": _text(one.reaches),
        "is_usable": one.problem is None,
        "problem": one.problem,
        "tool_says": found.error,
    }


def _hole(one: LogHole) -> Row:
    return {
        "system_id": one.system_id,
        "timeline": one.timeline,
        "start": one.start.text,
        "end": one.end.text,
        "files": one.files,
    }


def _drill(drilled: ForeignDrill, recorded: Drill | None) -> Row:
    outcome = drilled.outcome
    return {
        "set": drilled.set_id,
        "verdict": drilled.verdict.value,
        "reason": drilled.reason,
        "reached": _text(outcome.position) if outcome is not None else None,
        "last_commit_at": _moment(outcome.last_commit_at) if outcome is not None else None,
        "timeline": outcome.timeline if outcome is not None else None,
        "is_jailed": outcome.is_jailed if outcome is not None else None,
        "seconds": round(drilled.seconds, 3),
        "phases": [{"name": one.name, "seconds": round(one.seconds, 3), "bytes": one.bytes} for one in drilled.phases],
        "results": [
            {"level": one.level, "name": one.name, "outcome": one.outcome.value, "detail": one.detail}
            for one in drilled.results
        ],
        "recorded": None
        if recorded is None
        else {
            "id": str(recorded.id),
            "verdict": recorded.verdict.value,
            "level": recorded.level,
            "reason": recorded.reason,
        },
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def _text(value: LogPosition | None) -> str | None:
    return None if value is None else value.text
