"""What is wrong with Sentinels, or where they and the databases do not say the same: pure functions of one round."""

from collections.abc import Iterator, Sequence

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.model import Topology
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.ports.session import Role
from dbre.tools.sentinel import SentinelWord

__all__ = ["outage_seconds", "sentinel_findings"]

_FEWEST = 3  # of two, the one that is left after the other's death is no majority
_AFTER_DETECTION_SECONDS = 1.3  # measured from +sdown to the first write on the new primary: 1.25 to 1.38 s
_SLOW_SECONDS = 10.0


def sentinel_findings(
    topology: Topology,
    name: str,
    words: Sequence[SentinelWord | DbreError],
    primary: Address | None,
    book: AddressBook,
) -> list[Finding]:
    """Everything that the Sentinels add to what the databases tell. ``primary``: whom their majority names."""
    answers = [one for one in words if isinstance(one, SentinelWord)]
    found = [*_silent(topology.cluster, name, words)]
    if answers:
        found += [*_majority(topology.cluster, name, answers), *_settings(topology.cluster, words, answers)]
        found += [*_primary(topology, name, answers, primary, book), *_replicas(topology, answers, book)]
    return found


def outage_seconds(word: SentinelWord) -> float | None:
    """For how long writes will fail after the primary's death, by these settings; None where they were not told."""
    return word.down_after_ms / 1000 + _AFTER_DETECTION_SECONDS if word.down_after_ms is not None else None


def _silent(cluster: str, name: str, words: Sequence[SentinelWord | DbreError]) -> Iterator[Finding]:
    errors = [one for one in words if isinstance(one, DbreError)]
    for error in errors:
        yield Finding(
            rule="ha.sentinel_unreachable",
            severity=Severity.ERROR if len(errors) * 2 >= len(words) else Severity.WARNING,
            subject=cluster,
            summary=f"{error.message}; {len(words) - len(errors)} of {len(words)} Sentinels of {name} answer",
            fix=error.hint or "start it again: a failover needs the votes of a majority",
        )


def _majority(cluster: str, name: str, answers: Sequence[SentinelWord]) -> Iterator[Finding]:
    without = [one for one in answers if one.quorum_error is not None]
    if without:
        yield Finding(
            rule="ha.sentinel_no_quorum",
            severity=Severity.CRITICAL if len(without) == len(answers) else Severity.ERROR,
            subject=cluster,
            summary=f"no failover of {name} could be agreed on by Sentinel {without[0].sentinel}: {without[0].quorum_error}",
            fix="bring back the Sentinels that are gone; SENTINEL RESET makes them forget those that will not come back",
        )
    primaries = {one.primary for one in answers}
    if len(primaries) > 1 and not any(one.is_failing_over for one in answers):
        said = ", ".join(f"{one.sentinel}: {one.primary}" for one in answers)
        yield Finding(
            rule="ha.sentinels_disagree",
            severity=Severity.ERROR,
            subject=cluster,
            summary=f"the Sentinels of {name} name different primaries: {said}",
            fix="see whether they reach each other; the highest config-epoch is right",
        )


def _settings(cluster: str, words: Sequence[object], answers: Sequence[SentinelWord]) -> Iterator[Finding]:
    known = max((one.others + 1 for one in answers if one.others is not None), default=len(words))
    if known < _FEWEST:
        yield Finding(
            rule="ha.sentinel_few",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"only {counted(known, 'Sentinel')}: after the loss of one there is no majority",
            fix="run three, on machines that do not fail together",
        )
    periods = {one.down_after_ms for one in answers if one.down_after_ms is not None}
    if len(periods) > 1:
        yield Finding(
            rule="ha.sentinel_settings_differ",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"down-after-milliseconds differs between Sentinels: {', '.join(map(str, sorted(periods)))}",
            fix="SENTINEL SET NAME down-after-milliseconds VALUE on each",
        )
    slowest = max((outage_seconds(one) or 0.0 for one in answers), default=0.0)
    if slowest > _SLOW_SECONDS:
        yield Finding(
            rule="ha.sentinel_slow",
            severity=Severity.INFO,
            subject=cluster,
            summary=f"writes will fail for about {format_duration(slowest)} after the death of the primary",
            fix="lower down-after-milliseconds: 1000 gave 2.3 s in measurements",
        )


def _primary(
    topology: Topology, name: str, answers: Sequence[SentinelWord], primary: Address | None, book: AddressBook
) -> Iterator[Finding]:
    if primary is None or any(one.is_failing_over for one in answers):
        return
    instance = book.at(primary)
    node = topology.node(instance.name) if instance is not None else None
    if instance is None:
        yield Finding(
            rule="ha.sentinel_foreign_primary",
            severity=Severity.ERROR,
            subject=topology.cluster,
            summary=f"the Sentinels of {name} name {primary} as primary, which is not in the inventory",
            fix="add it to the inventory; or see whether name and addresses under ha.clusters.sentinel are right",
        )
    elif node is not None and node.view is not None and node.view.role is not Role.PRIMARY:
        yield Finding(
            rule="ha.leaseholder_not_writable",
            severity=Severity.CRITICAL,
            subject=node.name,
            summary=f"the Sentinels of {name} send clients to {node.name}, which calls itself a {node.view.role.value}",
            fix="wait for a failover that goes on; else SENTINEL RESET, or REPLICAOF NO ONE on the right one",
        )


def _replicas(topology: Topology, answers: Sequence[SentinelWord], book: AddressBook) -> Iterator[Finding]:
    addresses = {replica.address for one in answers for replica in one.replicas if replica.address is not None}
    seen = {found.name for one in addresses if (found := book.at(one)) is not None}
    for node in topology.nodes:
        if node.view is not None and node.view.role is Role.REPLICA and node.name not in seen:
            yield Finding(
                rule="ha.sentinel_misses_replica",
                severity=Severity.WARNING,
                subject=node.name,
                summary=f"no Sentinel knows the replica {node.name}: it would not be promoted",
                fix="Sentinels learn replicas from INFO of the primary: see replica-announce-ip and -port",
            )
    candidates = [one for one in answers[0].replicas if one.priority and not one.is_down]
    if answers[0].replicas and not candidates:
        yield Finding(
            rule="ha.sentinel_no_candidate",
            severity=Severity.ERROR,
            subject=topology.cluster,
            summary="none of the replicas may be promoted: each is down, or has replica-priority 0",
            fix="bring one back, or give one a replica-priority above 0",
        )
    gone = {str(one.address) for word in answers for one in word.replicas if one.is_down and one.address}
    foreign = sorted(one for one in gone if book.at(Address.parse(one, default_port=1)) is None)
    if foreign:
        yield Finding(
            rule="ha.sentinel_phantom_replica",
            severity=Severity.WARNING,
            subject=topology.cluster,
            summary=f"Sentinels still look for {', '.join(foreign)}, which is gone and not in the inventory",
            fix="SENTINEL RESET NAME on each, one after the other, 30 s apart",
        )
