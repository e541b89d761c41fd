"""Facts of reports as they stand in JSON, for commands and pages."""

from dbre.capabilities.report.toil import Candidate, Toil
from dbre.core.view import Row
from dbre.ports.report_sources import SloFact

__all__ = ["candidate_row", "slo_row", "toil_row"]


def slo_row(fact: SloFact) -> Row:
    """One SLO over a span."""
    ratio, burn, left = fact.ratio, fact.burn_rate, fact.remaining_ratio
    return {
        "id": fact.id,
        "cluster": fact.cluster,
        "objective_ratio": float(fact.objective),
        "objective_exact": f"{fact.objective.normalize():f}",
        "good": fact.good,
        "total": fact.total,
        "ratio": None if ratio is None else float(ratio),
        "ratio_exact": None if ratio is None else str(ratio),
        "is_met": fact.is_met,
        "burn_rate": None if burn is None else float(burn),
        "remaining_ratio": None if left is None else float(left),
    }


def candidate_row(candidate: Candidate) -> Row:
    """One kind of work."""
    return {
        "task": candidate.task,
        "times": candidate.times,
        "automatic_times": candidate.automatic_times,
        "automated_ratio": candidate.automated_ratio,
        "active_seconds": candidate.active_seconds,
        "interruptions": candidate.interruptions,
        "score": candidate.score,
        "saved_minutes_per_week": candidate.saved_minutes_per_week,
    }


def toil_row(toil: Toil) -> Row:
    """One piece of work."""
    return {
        "id": toil.id,
        "task": toil.task,
        "actor": toil.actor.value,
        "person": toil.person or None,
        "started_at": toil.started_at.isoformat().replace("+00:00", "Z"),
        "active_seconds": toil.active_seconds,
        "is_interruptive": toil.is_interruptive,
        "target": toil.target,
        "trigger": toil.trigger.value,
        "note": toil.note,
    }
