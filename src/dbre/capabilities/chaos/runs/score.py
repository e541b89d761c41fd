"""How well a cluster stands faults: 0 where something must never happen, else what users and the objectives say of it.

One run: ``0.5 * SLO kept + 0.3 * min(1, recovery objective / recovery) + 0.2 * noticed in time``, or 0 by a gate.
A cluster: the weighted mean over the required catalogue, each entry faded by its age; what was never tried counts 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from statistics import fmean, stdev

from dbre.capabilities.chaos.runs.measures import detection_of, outage_seconds, recovery_seconds, slices_of, was_felt
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.suite.required import REQUIRED, Entry
from dbre.core.text import counted

__all__ = ["ClusterScore", "EntryScore", "RunScore", "cluster_score", "run_score"]

_SLO, _RECOVERY, _DETECTION = 0.5, 0.3, 0.2
FADES_DAYS = 90.0
_COUNTED = 5  # runs of one entry
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 95 %, two-sided, by the number of runs
_LATE_REVERT_SECONDS = 10.0  # from a reason to end it until every fault was gone: an abort that takes longer was not honoured


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScore:
    """What one run is worth. ``gates`` say why it is nothing."""

    value: float
    slo_kept: bool
    recovery: float
    detected: bool
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryScore:
    """One entry of the required catalogue on one cluster."""

    entry: Entry
    runs: Sequence[Run]  # that count, the newest first
    value: float | None  # the mean of the runs; None: never run
    age_days: float | None
    fade: float  # by age: 1 for now
    half_width: float | None  # of the 95 % interval of the mean; None: too few runs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterScore:
    """One cluster."""

    cluster: str
    value: float  # 0 to 100
    coverage: float  # share of the weight that was tried at all
    half_width: float | None  # points, of the 95 % interval; None: an entry was run once only
    entries: Sequence[EntryScore]


def run_score(run: Run) -> RunScore | None:
    """None where the run says nothing of the cluster: it was stopped, or its process died."""
    if not run.state.is_evidence:
        return None
    objectives = run.document.objectives
    longest = max((one for one in (outage_seconds(run), recovery_seconds(run)) if one is not None), default=None)
    recovered = run.state in (RunState.HELD, RunState.DEVIATED, RunState.ABORTED) and run.observed.get("settled_at") is not None
    goal = objectives.recovery.total_seconds()
    recovery = (min(1.0, goal / longest) if longest else 1.0) if recovered else 0.0
    found = detection_of(run)
    detected = not was_felt(run) or (found is not None and found.seconds <= objectives.detection.total_seconds())
    kept = run.state is RunState.HELD and all(one.is_kept is not False for one in slices_of(run))
    gates = tuple(_gates(run))
    value = 0.0 if gates else _SLO * kept + _RECOVERY * recovery + _DETECTION * detected
    return RunScore(value=value, slo_kept=kept, recovery=recovery, detected=detected, gates=gates)


def _gates(run: Run) -> Iterable[str]:
    if run.state is RunState.UNREVERTED or any(not one.get("is_reverted") for one in run.faults):
        yield "a fault was not seen to be gone"
    late = run.observed.get("revert_seconds")
    if isinstance(late, int | float) and late > _LATE_REVERT_SECONDS:
        yield f"ending it took {late:.1f} s"
    clients: Mapping[str, object] = run.observed.get("clients") or {}
    lost, allowed = clients.get("lost"), run.document.objectives.loss
    if isinstance(lost, int) and lost > allowed:
        yield f"{counted(lost, 'acknowledged write')} {'was' if lost == 1 else 'were'} lost, {allowed} may be"
    overlap = clients.get("overlap")
    if isinstance(overlap, int) and overlap > 0:
        yield f"two primaries acknowledged writes at a time: {overlap} after the promotion"
    anomalies = clients.get("anomalies")
    if isinstance(anomalies, int) and anomalies > 0:
        yield f"clients saw {counted(anomalies, 'anomaly', 'anomalies')}"


def cluster_score(cluster: str, runs: Iterable[Run], now: datetime) -> ClusterScore:
    """``runs`` are those of the cluster, the newest first."""
    known = list(runs)
    entries = [_entry_score(entry, [one for one in known if one.entry == entry.name], now) for entry in REQUIRED]
    total = sum(one.entry.weight for one in entries)
    points = sum(one.entry.weight * one.fade * (one.value or 0.0) for one in entries)
    tried = [one for one in entries if one.value is not None]
    half: float | None = None
    if tried and all(one.half_width is not None for one in tried):
        half = 100 * sqrt(sum((one.entry.weight * one.fade * (one.half_width or 0.0) / total) ** 2 for one in tried))
    return ClusterScore(
        cluster=cluster,
        value=100 * points / total,
        coverage=sum(one.entry.weight for one in tried) / total,
        half_width=half,
        entries=entries,
    )


def _entry_score(entry: Entry, runs: Sequence[Run], now: datetime) -> EntryScore:
    scored = [(one, score.value) for one in runs if (score := run_score(one)) is not None][:_COUNTED]
    if not scored:
        return EntryScore(entry=entry, runs=(), value=None, age_days=None, fade=0.0, half_width=None)
    values = [value for _, value in scored]
    age = max((now - scored[0][0].began_at).total_seconds(), 0.0) / 86_400
    half = _T[len(values)] * stdev(values) / sqrt(len(values)) if len(values) > 1 else None
    return EntryScore(
        entry=entry,
        runs=[one for one, _ in scored],
        value=fmean(values),
        age_days=age,
        fade=_fade(age),
        half_width=half,
    )


def _fade(age_days: float) -> float:
    """Half after 90 days, a quarter after 180.

    >>> _fade(0.0), _fade(90.0)
    (1.0, 0.5)
    """
    return float(2 ** (-age_days / FADES_DAYS))
