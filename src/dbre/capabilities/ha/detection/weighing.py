"""What most observers say: reports of several vantage points become one piece of evidence. Pure; ages are handed in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.verdict import Action, Evidence, Judgement, Lease, ReplicaWord, judge
from dbre.ports.topology import Contact

__all__ = ["Heard", "Rules", "Weighing", "weigh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who is listened to, and how long silence must last."""

    observers: tuple[str, ...]  # all that there should be: a majority is one of these, not of those who happen to report
    confirm_seconds: float  # an observer speaks for death once the primary was unheard for so long
    stale_seconds: float  # a report that did not change for so long says nothing any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A report and how long ago, by the reader's monotonic clock, it last changed."""

    report: Report
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """The verdict over the reports of a moment, with what it is based on."""

    primary: str | None
    judgement: Judgement
    contacts: Mapping[str, Contact]  # observer: what it counts as, unknown where it does not count
    notes: Mapping[str, str]  # observer: why it does not count
    reports: Mapping[str, Report]  # those that count at all

    @property
    def may_fail_over(self) -> bool:
        """Whether the evidence allows a failover."""
        return self.judgement.action is Action.FAIL_OVER

    @property
    def patience(self) -> Mapping[str, float]:
        """Replica: how long it believes in a primary that is silent, which is not dead before; infinite where for ever."""
        words = {name: one for report in self.reports.values() for name, one in report.nodes.items() if name != self.primary}
        known = {name: one.gives_up_seconds for name, one in sorted(words.items()) if one.gives_up_seconds is not None}
        return {name: seconds or math.inf for name, seconds in known.items()}

    @property
    def unheard_seconds(self) -> float | None:
        """For how long none of them has heard the primary; None: none of them ever has."""
        return min((one.unheard_seconds for one in self.reports.values() if one.unheard_seconds is not None), default=None)


def weigh(heard: Sequence[Heard], rules: Rules, *, lease: Lease | None = None) -> Weighing:
    """Judge what the observers of the rules say; reports of others, and stale ones, are not listened to."""
    notes = dict.fromkeys(rules.observers, "no report")
    fresh: dict[str, Report] = {}
    for one in heard:
        name = one.report.observer
        if name not in notes:
            continue
        if one.age_seconds > rules.stale_seconds:
            is_known = one.age_seconds < float("inf")
            notes[name] = f"its report is {one.age_seconds:.1f} s old" if is_known else "its report does not change"
            continue
        notes.pop(name)
        fresh[name] = one.report
    primary, disagreement = _primary(fresh)
    contacts = _contacts(fresh, primary, rules, notes)
    evidence = Evidence(
        observers=contacts,
        replicas=_replicas(fresh, primary),
        writable_primaries=_writable(fresh, primary),
        lease=lease,
    )
    judgement = judge(evidence)
    if disagreement is not None:
        judgement = Judgement(verdicts=judgement.verdicts, action=Action.NONE, reasons=(disagreement, *judgement.reasons))
    return Weighing(primary=primary, judgement=judgement, contacts=contacts, notes=notes, reports=fresh)


def _primary(fresh: Mapping[str, Report]) -> tuple[str | None, str | None]:
    """Who the primary is by most reports, and why nothing may be done where they do not agree.

    Who sees a primary that takes writes knows better than who remembers one.
    """
    named = [one for one in fresh.values() if one.primary is not None and not one.is_isolated]
    seeing = [one for one in named if one.primary is not None and one.nodes.get(one.primary, _NOBODY).is_writable]
    votes = Counter(one.primary for one in seeing or named)
    ranked = sorted(votes.items(), key=lambda found: (-found[1], str(found[0])))
    if not ranked:
        remembered = Counter(one.primary for one in fresh.values() if one.primary is not None)
        return (remembered.most_common(1)[0][0], None) if len(remembered) == 1 else (None, None)
    if len(ranked) > 1:
        names = ", ".join(str(name) for name, _ in ranked)
        return ranked[0][0], f"the observers do not agree who the primary is or was: {names}"
    return ranked[0][0], None


_NOBODY = NodeWord(contact=Contact.UNKNOWN)


def _contacts(fresh: Mapping[str, Report], primary: str | None, rules: Rules, notes: dict[str, str]) -> dict[str, Contact]:
    found = dict.fromkeys(rules.observers, Contact.UNKNOWN)
    isolated = {name for name, one in fresh.items() if one.is_isolated}
    for name, report in fresh.items():
        contact = report.contact if report.primary == primary else Contact.UNKNOWN
        unheard, wanted = report.unheard_seconds, max(rules.confirm_seconds, report.wanted_seconds)
        if report.primary != primary:
            notes[name] = f"it takes {report.primary or 'nobody'} for the primary"
        elif name in isolated and len(isolated) < len(fresh):
            notes[name] = "it reaches no node at all: it may be the isolated one"
            contact = Contact.UNKNOWN
        elif contact.is_silence and unheard is None:
            notes[name] = "it has never heard the primary in this run"
            contact = Contact.UNKNOWN
        elif contact.is_silence and unheard is not None and unheard < wanted:
            why = "" if wanted == rules.confirm_seconds else ": servers that it had not heard for half of that were alive"
            notes[name] = f"the primary has been silent for {unheard:.1f} s, and {wanted:.3g} s are wanted{why}"
            contact = Contact.UNKNOWN
        elif contact.is_silence and report.wanted_seconds > rules.confirm_seconds and (deaf := _silent_besides(report)):
            notes[name] = f"it lately took living servers for dead, and does not hear {', '.join(deaf)} either"
            contact = Contact.UNKNOWN
        found[name] = contact
    return found


def _silent_besides(report: Report) -> list[str]:
    """Who besides the primary did not answer this observer."""
    return [name for name, one in report.nodes.items() if name != report.primary and one.contact.is_silence]


def _replicas(fresh: Mapping[str, Report], primary: str | None) -> tuple[ReplicaWord, ...]:
    """One word a replica: reachable where one observer reaches it, replicating where one observer sees that it does."""
    names = sorted({name for one in fresh.values() for name in one.nodes if name != primary})
    words = []
    for name in names:
        said = [one.nodes[name] for one in fresh.values() if name in one.nodes]
        answers = [one for one in said if one.contact is Contact.ANSWERED]
        if any(one.is_writable for one in answers):
            continue  # no replica: the count of writable nodes tells of it
        words.append(
            ReplicaWord(
                is_reachable=bool(answers),
                is_replicating=any(one.is_receiving and one.upstream in (primary, None) for one in answers),
            )
        )
    return tuple(words)


def _writable(fresh: Mapping[str, Report], primary: str | None) -> int:
    """Nodes that take writes of the primary's system, by any report."""
    found = {name: one for report in fresh.values() for name, one in report.nodes.items() if one.is_writable}
    systems = {one.system_id for name, one in found.items() if name == primary} or {one.system_id for one in found.values()}
    return sum(one.system_id in systems for one in found.values())
