"""Numbers of one run: how long until it was noticed, until all was well again, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.chaos.runs.model import Run, moment

__all__ = ["Detection", "Slice", "detection_of", "outage_seconds", "recovery_seconds", "signs_of", "slices_of", "was_felt"]


_FELT_SECONDS = 1.0  # between two answers to clients: less is how often they ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Who noticed first."""

    seconds: float  # after the first fault was on
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One SLO in the three spans of a run; None: nothing was counted."""

    slo: str
    objective: float
    before: float | None
    during: float | None
    after: float | None
    bad: int  # events while faults were on
    spent: float | None  # share of the error budget
    remaining: float | None

    @property
    def is_kept(self) -> bool | None:
        """Whether its budget lasted; None: nobody knows."""
        return None if self.remaining is None else self.remaining > 0


def detection_of(run: Run) -> Detection | None:
    """The first sign, by whomever it was; None: nothing noticed."""
    signs = signs_of(run)
    return signs[0] if signs else None


def signs_of(run: Run) -> list[Detection]:
    """Everybody who noticed, the first one first: pages, alerts, incidents, failovers, observers, clients, probes."""
    on = run.on_at
    if on is None:
        return []
    around, clients = run.surroundings or {}, run.observed.get("clients") or {}
    told = [(at, f"a page of {slo}") for slo, at in (run.observed.get("paged") or {}).items()]
    told += [(one.get("detected_at"), f"incident {one.get('name')}") for one in around.get("incidents", ())]
    told += [(one.get("at"), str(one.get("by"))) for one in around.get("signs", ())]
    told += [(at, f"observer {name}") for name, at in (run.observed.get("bereft") or {}).items()]
    told += [(one.get("first_bad_at"), f"probe {one.get('probe')}") for one in run.observed.get("during") or ()]
    seen = [(at, by) for text, by in told if (at := moment(text)) is not None and at >= on]
    if (failed := moment(clients.get("first_bad_at"))) is not None:  # since it was begun, which is before it was seen
        seen.append((max(failed, on), "a client"))
    return [Detection(seconds=(at - on).total_seconds(), by=by) for at, by in sorted(seen)]


def outage_seconds(run: Run) -> float | None:
    """The longest time without service, as clients saw it, else the probe that failed longest; None: nobody looked."""
    clients = run.observed.get("clients") or {}
    if isinstance(clients.get("outage_seconds"), int | float):
        return float(clients["outage_seconds"])
    during = run.observed.get("during") or ()
    return max((float(one.get("longest_seconds") or 0.0) for one in during), default=None)


def recovery_seconds(run: Run) -> float | None:
    """From the end of the last fault until all held that should; None: it did not, or nobody looked."""
    off, settled = run.off_at, moment(run.observed.get("settled_at"))
    return max((settled - off).total_seconds(), 0.0) if off is not None and settled is not None else None


def was_felt(run: Run) -> bool:
    """Whether anything failed at all while faults were on."""
    if any(one.get("bad") for one in run.observed.get("during") or ()):
        return True
    clients = run.observed.get("clients") or {}
    if clients.get("failed") or clients.get("unknown") or (clients.get("outage_seconds") or 0.0) >= _FELT_SECONDS:
        return True
    return any(one.bad for one in slices_of(run))


def slices_of(run: Run) -> list[Slice]:
    """Every SLO of the cluster, by name."""
    around = run.surroundings or {}
    before, after = _by_name(around.get("before")), _by_name(around.get("after"))
    found = []
    for name, one in sorted(_by_name(around.get("during")).items()):
        first, last = before.get(name, {}), after.get(name) or one
        left = last.get("remaining_ratio")
        had = first.get("remaining_ratio")
        found.append(
            Slice(
                slo=name,
                objective=float(one.get("objective_ratio") or 0.0),
                before=first.get("ratio"),
                during=one.get("ratio"),
                after=after.get(name, {}).get("ratio"),
                bad=int(one.get("total") or 0) - int(one.get("good") or 0),
                spent=max(had - left, 0.0) if had is not None and left is not None else None,
                remaining=left,
            )
        )
    return found


def _by_name(slos: Any) -> dict[str, Mapping[str, Any]]:
    return {str(one.get("slo")): one for one in slos or ()}
