"""How long clients suffered, from what they wrote down. Arithmetic only: no clock, no I/O."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from dbre.capabilities.ha.clients.records import ClientAct, is_write

__all__ = ["Gap", "Timing", "budget_share", "longest_gap", "measure", "quantile"]

_ENOUGH = 0.9  # of the throughput before: recovered
_LEAST_WINDOW_SECONDS = 0.5
_ACKS_OF_A_WINDOW = 20
_BUDGET_MINUTES = 30 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The longest time without an acknowledged write; ``is_open``: none came until the end."""

    began_at: float
    ended_at: float
    is_open: bool

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended_at - self.began_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What an outage was for clients. Of what cannot be told (too little came before, nothing after) it says None."""

    outage: Gap | None
    outage_by_client: Mapping[str, Gap]
    first_ack_seconds: float | None  # from the moment that was asked about to the end of the outage
    ninety_percent_seconds: float | None  # from the begin of the outage to 90 % of the throughput before
    baseline_per_second: float | None
    bad_minutes: float  # the share of acts of each second that failed their client, added up
    p50_seconds: float | None  # of acknowledged acts, from the moment at which they were due
    p99_seconds: float | None
    max_seconds: float | None


def measure(acts: Sequence[ClientAct], *, until: float, since: float | None = None) -> Timing:
    """Measure acts of clients that acted from 0 to ``until``; ``since`` is when something was done to the cluster."""
    writes = [act for act in acts if is_write(act)]
    acked = sorted(act.ended_at for act in writes if act.kind == "ok" and act.ended_at is not None)
    begin = min((act.due_at for act in acts), default=0.0)
    outage = longest_gap(acked, begin, until) if writes else None
    clients = sorted({act.client for act in writes})
    latencies = sorted(act.ended_at - act.due_at for act in acts if act.kind == "ok" and act.ended_at is not None)
    baseline = _baseline(acked, begin, outage)
    return Timing(
        outage=outage,
        outage_by_client={
            name: longest_gap(
                sorted(act.ended_at for act in writes if act.client == name and act.kind == "ok" and act.ended_at is not None),
                begin,
                until,
            )
            for name in clients
        },
        first_ack_seconds=_first_ack(outage, since),
        ninety_percent_seconds=_recovered(acked, outage, baseline, until),
        baseline_per_second=baseline,
        bad_minutes=_bad_minutes(acts),
        p50_seconds=quantile(latencies, 0.5),
        p99_seconds=quantile(latencies, 0.99),
        max_seconds=latencies[-1] if latencies else None,
    )


def longest_gap(acked: Sequence[float], begin: float, until: float) -> Gap:
    """The longest time without an acknowledgement, of which ``acked`` are the moments in their order.

    >>> longest_gap([1.0, 1.5, 4.0], 0.5, 4.25)
    Gap(began_at=1.5, ended_at=4.0, is_open=False)
    """
    inside = [one for one in acked if begin <= one <= until]
    gaps = [Gap(began_at=one, ended_at=other, is_open=False) for one, other in pairwise([begin, *inside])]
    last = inside[-1] if inside else begin
    gaps.append(Gap(began_at=last, ended_at=max(until, last), is_open=True))
    return max(gaps, key=lambda gap: gap.seconds)


def quantile(ordered: Sequence[float], ratio: float) -> float | None:
    """The smallest value that at least ``ratio`` of the values do not exceed (nearest rank); None of none.

    >>> quantile([1, 2, 3, 4], 0.5)
    2
    """
    return ordered[max(ceil(ratio * len(ordered)) - 1, 0)] if ordered else None


def budget_share(bad_minutes: float, objective: float) -> float:
    """How much of the error budget of 30 days it was; ``objective`` as a ratio below 1.

    >>> round(budget_share(4.32, 0.999), 3)
    0.1
    """
    return bad_minutes / (_BUDGET_MINUTES * (1 - objective))


def _first_ack(outage: Gap | None, since: float | None) -> float | None:
    """What is acknowledged between a fault and its effect is not what anybody waits for: the end of the outage is."""
    if since is None or outage is None or outage.is_open or outage.ended_at < since:
        return None
    return outage.ended_at - since


def _baseline(acked: Sequence[float], begin: float, outage: Gap | None) -> float | None:
    """Acknowledgements a second before the outage."""
    if outage is None or outage.began_at - begin < _LEAST_WINDOW_SECONDS:
        return None
    return bisect_left(acked, outage.began_at) / (outage.began_at - begin)


def _recovered(acked: Sequence[float], outage: Gap | None, baseline: float | None, until: float) -> float | None:
    """The begin of the first window after the outage that has nine tenths of the acknowledgements that were usual."""
    if outage is None or outage.is_open or not baseline:
        return None
    window = max(_LEAST_WINDOW_SECONDS, _ACKS_OF_A_WINDOW / baseline)
    for place in range(bisect_left(acked, outage.ended_at), len(acked)):
        begin = acked[place]
        if begin + window > until:
            break
        if bisect_left(acked, begin + window) - place >= _ENOUGH * baseline * window:
            return begin - outage.began_at
    return None


def _bad_minutes(acts: Sequence[ClientAct]) -> float:
    bad: Counter[int] = Counter()
    valid: Counter[int] = Counter()
    for act in acts:
        if not act.is_missed:
            valid[int(act.due_at)] += 1
            bad[int(act.due_at)] += act.is_bad
    return sum(bad[second] / count for second, count in valid.items()) / 60
