"""The checks before an experiment: pure rules over the document, the rule of its cluster, and what was read."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from dbre.capabilities.chaos.documents import Experiment, FaultOrder
from dbre.capabilities.chaos.injection.catalogue import fault_kind, parameters_of
from dbre.capabilities.chaos.injection.faults.exhausting import EXHAUSTION, ExhaustionParameters
from dbre.capabilities.chaos.preflight.model import Check, Facts, Places
from dbre.capabilities.chaos.rules_documents import ChaosRule
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.gates.calendar import Standing
from dbre.core.text import counted, printable
from dbre.core.units import format_duration, format_percent

__all__ = ["checks_of", "require", "takes_away"]

_QUORUM_FROM = 3  # two instances have no majority to lose


def checks_of(experiment: Experiment, cluster: Cluster, rule: ChaosRule, facts: Facts) -> list[Check]:
    """Every check, in the order in which a person reads them."""
    found = [
        *_allowed(experiment, cluster, rule, facts),
        *_healthy(experiment, rule, facts),
        *_budgets(rule, facts),
        _incidents(rule, facts),
        *_backups(rule, facts),
        _operations(facts),
        *_connections(experiment, rule, facts),
    ]
    return [one for one in found if one is not None]


def require(checks: Sequence[Check]) -> None:
    """Raises: PrecheckFailed with everything that does not hold, and what to do about the first."""
    bad = [one for one in checks if one.holds is False]
    if bad:
        raise PrecheckFailed(
            "; ".join(f"{one.name}: {one.seen} (wanted: {one.limit})" for one in bad),
            hint=bad[0].remedy or None,
            context={"checks": [one.name for one in bad]},
        )


def takes_away(one: FaultOrder) -> bool:
    """Whether its instance answers nobody while the fault is on."""
    return fault_kind(one.fault).takes_away(one.parameters)


def _allowed(experiment: Experiment, cluster: Cluster, rule: ChaosRule, facts: Facts) -> Iterator[Check]:
    closed = facts.switch.is_closed if facts.switch is not None else None
    yield Check(
        name="switch",
        holds=None if closed is None else not closed,
        seen=facts.switch.words if facts.switch is not None else facts.unknown.get("switch", "no state store is open"),
        limit="open",
        remedy='dbre chaos open --reason "..."',
    )
    yield Check(
        name="rule",
        holds=rule.allowed,
        seen=f"rule {rule.name} {'allows' if rule.allowed else 'forbids'} experiments on {cluster.name}",
        limit="allowed",
        remedy="choose another cluster, or change chaos.rules in dbre.yaml",
    )
    blast, environment = experiment.blast, cluster.environment
    if blast.environments:
        yield Check(
            name="environment",
            holds=environment in blast.environments,
            seen=f"{cluster.name} is of {environment}",
            limit=", ".join(map(printable, blast.environments)),
            remedy="choose a cluster of such an environment, or correct blast.environments",
        )
    if blast.window is not None:
        standing = blast.window.calendar(blast.time_zone).at(facts.now)
        yield Check(
            name="window",
            holds=standing.is_inside,
            seen=f"it is {facts.now:%a %Y-%m-%d %H:%MZ}",
            limit="within blast.window" + _next(standing),
            remedy="wait for it, or let a schedule begin it",
        )
    protected = {*rule.protected, *blast.protected}
    touched = sorted({one.instance for one in experiment.faults if one.instance in protected})
    if protected:
        yield Check(
            name="protected",
            holds=not touched,
            seen=f"{', '.join(touched) or 'no protected instance'} would be touched",
            limit=f"never {', '.join(sorted(map(printable, protected)))}",
            remedy="name another instance under faults",
        )


def _next(standing: Standing) -> str:
    return f", next {standing.until:%a %Y-%m-%d %H:%MZ}" if not standing.is_inside and standing.until else ""


def _healthy(experiment: Experiment, rule: ChaosRule, facts: Facts) -> Iterator[Check]:
    taken = {one.instance for one in experiment.faults if takes_away(one)}
    left = [name for name, said in facts.answers.items() if said is not None and name not in taken]
    count = len(facts.answers)
    wanted = rule.min_healthy if rule.min_healthy is not None else count // 2 + 1 if count >= _QUORUM_FROM else 0
    if taken and wanted and not experiment.may_take_last:
        yield Check(
            name="quorum",
            holds=len(left) >= wanted,
            seen=f"{counted(len(left), 'instance')} of {count} would be left",
            limit=f"at least {wanted}",
            remedy="take fewer at once, bring back those that are down, or say may_take_last",
        )
    if facts.leftovers:
        yield Check(
            name="leftovers",
            holds=False,
            seen="; ".join(facts.leftovers[:5]),
            limit="no fault is left",
            remedy="dbre chaos heal",
        )
    if facts.health is None:
        yield Check(name="health", holds=None, seen=facts.unknown.get("health", "nobody looks"), limit="no trouble")
        return
    troubles = facts.health.troubles
    yield Check(
        name="health",
        holds=not troubles,
        seen="; ".join(troubles[:5]) or f"{counted(len(facts.health.replicating), 'replica')} replicating",
        limit="no trouble in the topology",
        remedy=f"dbre ha status {experiment.cluster}",
    )


def _budgets(rule: ChaosRule, facts: Facts) -> Iterator[Check]:
    wanted = float(rule.min_budget)
    limit = f"at least {format_percent(wanted, digits=0)} left"
    if facts.burns is None:
        yield Check(name="budget", holds=None, seen=facts.unknown.get("budgets", "no SLO can be read here"), limit=limit)
        return
    for name, burn in facts.burns.items():
        left = burn.remaining
        holds = None if left is None else left >= wanted
        seen = "nothing was measured" if left is None else f"{format_percent(left, digits=1)} of the budget left"
        yield Check(
            name=f"budget {name}",
            holds=holds,
            seen=seen + (", and it pages" if burn.is_paging else ""),
            limit=limit,
            remedy="wait until the budget has recovered: dbre slo status",
        )


def _incidents(rule: ChaosRule, facts: Facts) -> Check | None:
    if rule.incidents:
        return None
    if facts.incidents is None:
        return Check(name="incidents", holds=None, seen=facts.unknown.get("incidents", "not read"), limit="none is open")
    names = ", ".join(f"{one.name} ({one.severity})" for one in facts.incidents[:5])
    return Check(
        name="incidents",
        holds=not facts.incidents,
        seen=f"{names} of the cluster is open" if names else "none but of experiments themselves",
        limit="none is open",
        remedy="end it first: dbre incident list",
    )


def _backups(rule: ChaosRule, facts: Facts) -> Iterator[Check]:
    word = facts.backups
    if word is None:
        if rule.backup_needed:
            yield Check(name="backup", holds=None, seen=facts.unknown.get("backups", "not read"), limit="fresh and proven")
        return
    if not (word.has_policy if rule.backup_needed is None else rule.backup_needed):
        return
    pairs = (("backup", word.newest_at, rule.backup_age, "take"), ("proven restore", word.proven_at, rule.proof_age, "drill"))
    for name, at, most, command in pairs:
        age = None if at is None else max((facts.now - at).total_seconds(), 0.0)
        failed = word.failed if command == "drill" else None
        seen = "there is none" if age is None else f"{format_duration(age)} old"
        yield Check(
            name=name,
            holds=age is not None and age <= most.total_seconds() and failed is None,
            seen=seen + (f"; the latest drill failed: {printable(failed, limit=150)}" if failed else ""),
            limit=f"at most {format_duration(most.total_seconds())} old",
            remedy=f"dbre backup {command} CLUSTER",
        )


def _operations(facts: Facts) -> Check:
    if "operations" in facts.unknown:
        return Check(name="operations", holds=None, seen=facts.unknown["operations"], limit="no other at work")
    return Check(
        name="operations",
        holds=not facts.operations,
        seen="; ".join(facts.operations[:5]) or "none",
        limit="no other at work on the cluster",
        remedy="wait for its end, or resolve it: dbre op list",
    )


def _connections(experiment: Experiment, rule: ChaosRule, facts: Facts) -> Iterator[Check]:
    limit: Decimal = min(rule.connections, experiment.blast.connections)
    for one in experiment.faults:
        places = facts.places.get(one.instance)
        if one.fault != EXHAUSTION.name or limit >= 1:
            continue
        share = _share(one, places) if places is not None else None
        yield Check(
            name=f"connections {one.instance}",
            holds=None if share is None else share <= float(limit),
            seen=facts.unknown.get("places", "not read") if share is None else f"would take {format_percent(share, digits=0)}",
            limit=f"at most {format_percent(limit, digits=0)} of its places",
            remedy="lower most, or raise leave, among the fault's parameters",
        )


def _share(one: FaultOrder, places: Places) -> float:
    asked = parameters_of(one.fault, one.parameters)
    assert isinstance(asked, ExhaustionParameters)  # noqa: S101 - by the fault's name
    return min(asked.most, max(places.most - places.used - asked.leave, 0)) / max(places.most, 1)
