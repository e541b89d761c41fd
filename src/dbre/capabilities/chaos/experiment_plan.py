"""The plan of an experiment: pure rules over the document, the inventory, and what every instance said."""

from collections.abc import Iterator, Mapping

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.injection.catalogue import fault_kind, parameters_of
from dbre.capabilities.chaos.preflight.checks import takes_away
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Cluster
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.core.text import closest, counted, printable, quoted
from dbre.core.units import format_duration

__all__ = ["check_names", "check_outage", "plan_of"]


def check_names(experiment: Experiment, cluster: Cluster) -> None:
    """Raises: UsageError where the document names an instance that the cluster does not have."""
    known = [one.name for one in cluster.instances]
    named = [one.instance for one in experiment.faults]
    named += [one.instance for one in experiment.hypothesis if one.instance is not None]
    for name in named:
        if name not in known:
            near = closest(name, known)
            raise UsageError(
                f"cluster {cluster.name} has no instance {quoted(name, limit=100)}",
                hint=f"did you mean {near}?" if near else f"its instances: {', '.join(known)}",
            )


def check_outage(experiment: Experiment, answers: Mapping[str, str | None]) -> None:
    """See that somebody would be left. ``answers``: what each instance said of itself; None: it does not answer.

    Raises: PrecheckFailed.
    """
    taken = sorted({one.instance for one in experiment.faults if takes_away(one)})
    left = [name for name, said in answers.items() if said is not None and name not in taken]
    silent = [name for name in {one.instance for one in experiment.faults} if answers.get(name) is None]
    if silent:
        raise PrecheckFailed(
            f"{', '.join(sorted(silent))} does not answer before anything was done", hint="see what is wrong: dbre fleet check"
        )
    if taken and not left and not experiment.may_take_last:
        raise PrecheckFailed(
            f"with {', '.join(taken)} taken away, no instance of {experiment.cluster} would answer",
            hint="add --may-take-last (may_take_last: true) if that is the question",
        )


def plan_of(experiment: Experiment, answers: Mapping[str, str | None]) -> Plan:
    """Baseline, faults, settling."""
    faults = "; ".join(
        f"{one.fault} on {one.instance} for {format_duration(one.lasts.total_seconds())}" for one in experiment.faults
    )
    settle = experiment.settle.total_seconds()
    probes = counted(len(experiment.hypothesis), "probe")
    document = experiment.model_dump(mode="json", by_alias=True)
    return Plan(
        target=f"cluster/{experiment.cluster}",
        summary=f"chaos on {experiment.cluster}: {faults}",
        steps=(
            Step(
                "baseline",
                summary=f"see that the hypothesis holds ({probes}), and that no fault is left over",
                input={"experiment": document},
            ),
            Step("inject", summary=faults, input={"experiment": document}, undo="heal", estimate_seconds=experiment.seconds),
            Step(
                "settle",
                summary=f"see that the hypothesis holds again within {format_duration(settle)} ({probes})",
                input={"experiment": document},
            ),
        ),
        risk=Risk.SEVERE,
        lock=_lock(experiment),
        changes=tuple(
            Change(subject=f"{one.instance}: {one.fault}", before="off", after="off again") for one in experiment.faults
        ),
        blast_radius=tuple(_blast_radius(experiment)),
        warnings=tuple(_warnings(experiment, answers)),
        observed={"roles": dict(answers)},
        tags=("chaos",),
        estimate_seconds=experiment.seconds,
    )


def _lock(experiment: Experiment) -> LockMode:
    """What answers a failure may do so, unless the injector would then start what was fenced meanwhile."""
    starts = any(parameters_of(one.fault, one.parameters).starts_server for one in experiment.faults)
    return LockMode.EXCLUSIVE if starts else LockMode.YIELDING


def _blast_radius(experiment: Experiment) -> Iterator[str]:
    for one in experiment.faults:
        kind = fault_kind(one.fault)
        yield f"{one.instance}: {kind.summary}; undone by: {kind.undo}"


def _warnings(experiment: Experiment, answers: Mapping[str, str | None]) -> Iterator[str]:
    if any(fault_kind(one.fault).is_local for one in experiment.faults):
        yield "the operation has to run on the machine of the instances that it names"
    for one in experiment.faults:
        if answers.get(one.instance) == "primary" and takes_away(one):
            yield f"{one.instance} is the primary: clients cannot write meanwhile, unless something fails over"
    if experiment.abort == () and not any(probe.aborts for probe in experiment.hypothesis):
        yield "nothing ends it early but its time, a cancel, and the gates: leave out abort, or name an SLO there"
    missing = [printable(answer) for answer, said in answers.items() if said is None]
    if missing:
        yield f"{', '.join(missing)} does not answer already"
