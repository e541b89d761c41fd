"""Did the demonstration show what it promised? Pure: what was seen goes in, checks come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Act", "Check", "judge_act", "judge_page", "judge_steady_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise, and whether it was kept."""

    promise: str
    is_kept: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One fault: when it held, what the prober counted, and what the load client saw in the same time."""

    name: str
    fault: str  # what was done, in words
    fault_at: datetime
    cleared_at: datetime
    recovered_at: datetime  # first moment after which both sides were good again
    slots: int  # scheduled by the prober in the act
    bad_slots: int
    interval_seconds: float
    client_operations: int  # scheduled by the load client in the act
    client_failed: int  # failed or later than the deadline
    client_rate_per_second: float
    replica_bad_slots: int

    @property
    def probed_seconds(self) -> float:
        """Downtime as the prober counted it."""
        return self.bad_slots * self.interval_seconds

    @property
    def suffered_seconds(self) -> float:
        """Downtime as clients lived it."""
        return self.client_failed / self.client_rate_per_second

    @property
    def difference_seconds(self) -> float:
        """Prober minus client."""
        return self.probed_seconds - self.suffered_seconds


def judge_steady_state(*, bad_slots: int, slots: int, client_failed: int, client_operations: int) -> Check:
    """Before any fault, nothing may be bad on either side, and both must have measured something."""
    is_kept = bad_slots == 0 and client_failed == 0 and slots > 0 and client_operations > 0
    evidence = f"{bad_slots} of {slots} slots bad, {client_failed} of {client_operations} client operations failed"
    return Check(promise="steady state: nothing is bad before the first fault", is_kept=is_kept, evidence=evidence)


def judge_act(act: Act) -> Sequence[Check]:
    """The fault was felt, and the budget was spent exactly as long as clients suffered: to within one slot.

    One outage sampled every ``interval`` gives its length rounded down or up to a multiple of it, so that an honest
    prober and an honest client differ by less than one interval.
    """
    felt = act.bad_slots > 0 and act.client_failed > 0
    agree = abs(act.difference_seconds) <= act.interval_seconds
    return (
        Check(
            promise=f"{act.name}: clients and prober both felt it",
            is_kept=felt,
            evidence=f"{act.bad_slots} slots, {act.client_failed} client operations",
        ),
        Check(
            promise=f"{act.name}: budget spent as long as clients suffered, to within one slot of {act.interval_seconds:g} s",
            is_kept=felt and agree,
            evidence=f"prober {act.probed_seconds:.2f} s, clients {act.suffered_seconds:.2f} s: {act.difference_seconds:+.2f}",
        ),
        Check(
            promise=f"{act.name}: reads from the replica went on",
            is_kept=act.replica_bad_slots == 0,
            evidence=f"{act.replica_bad_slots} bad slots on the replica endpoint",
        ),
    )


def judge_page(
    *, pages: int, unsigned: int, bad_since: datetime | None, received_at: datetime | None, fault_at: datetime
) -> Check:
    """Exactly one page for the first fault, signed, after the fault began."""
    if received_at is None or bad_since is None:
        return Check(promise="one page arrives, signed", is_kept=False, evidence="no page arrived")
    delay = (received_at - bad_since).total_seconds()
    is_kept = pages == 1 and unsigned == 0 and received_at > fault_at
    evidence = f"{pages} page(s), {unsigned} unsigned, {delay:.1f} s after the first bad slot"
    return Check(promise="one page arrives, signed", is_kept=is_kept, evidence=evidence)
