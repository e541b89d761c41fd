"""What the plans of all rolling changes share: the order of servers, refusals, what clients feel."""

from collections.abc import Iterator

from dbre.capabilities.upgrade.checks import CheckState, RollCheck
from dbre.capabilities.upgrade.documents import RestartInput
from dbre.capabilities.upgrade.survey import Survey
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.plan import Step
from dbre.core.text import printable

__all__ = ["blast_radius", "in_place_checks", "is_switched", "refuse_failed", "switch_back_step", "switch_step", "warnings_of"]


def refuse_failed(seen: Survey, checks: list[RollCheck], *, what: str) -> None:
    """Raises: PrecheckFailed naming what is in the way."""
    failed = [one for one in checks if one.state is CheckState.FAIL]
    if not failed:
        return
    told = "; ".join(f"{one.subject}: {one.rule.replace('_', ' ')}: {one.value} (wanted: {one.limit})" for one in failed[:5])
    every = f"every check with its remedy: dbre upgrade status {seen.cluster.name}"
    raise PrecheckFailed(
        f"{what} of {seen.cluster.name} is not begun: {told}",
        hint=failed[0].remedy or every if len(failed) == 1 else every,
        context={"cluster": seen.cluster.name, "failed": [one.rule for one in failed]},
    )


def is_switched(seen: Survey, asked: RestartInput) -> bool:
    """Whether another instance takes over before the primary is restarted."""
    return bool(seen.replicas) and not asked.in_place


def in_place_checks(seen: Survey, asked: RestartInput) -> Iterator[RollCheck]:
    """Whether a primary that is restarted as primary is one afterwards."""
    if seen.promoter is None or is_switched(seen, asked) or not seen.replicas or not seen.primaries:
        return
    yield RollCheck(
        rule="stays_primary",
        subject=seen.primaries[0],
        state=CheckState.FAIL,
        value=f"{seen.promoter} would take its stop for its death, promote another one, and lose what was written to it since",
        limit="it is primary after its restart",
        source="ha: clusters: of the configuration",
        remedy=f"leave out --in-place: {seen.promoter} makes another one primary in order before",
    )


def switch_step(old: str, *, is_final: bool) -> Step:
    """Another instance becomes primary; ``is_final``: what was proved on the replicas is not taken back afterwards."""
    return Step(
        "switch",
        summary=f"the best replica becomes primary in place of {old}, as an operation of its own",
        input={"from": old},
        irreversible=is_final,
    )


def switch_back_step(old: str) -> Step:
    """The primary of before becomes it again."""
    return Step("switch-back", summary=f"{old} becomes primary again, as an operation of its own", input={"to": old})


def warnings_of(checks: list[RollCheck]) -> tuple[str, ...]:
    """What does not stop it."""
    warned = [one for one in checks if one.state is CheckState.WARN]
    return tuple(f"{one.subject}: {one.rule.replace('_', ' ')}: {printable(one.value, limit=300)}" for one in warned)


def blast_radius(seen: Survey, asked: RestartInput) -> Iterator[str]:
    """What clients feel."""
    primary = seen.primary.name if seen.primary is not None else "the primary"
    for name in seen.replicas:
        yield f"clients of {name} are cut off once, and it answers nobody while it restarts"
    if is_switched(seen, asked):
        times = "twice" if asked.back else "once"
        yield f"the primary changes {times}: clients are held back, or cut off, as dbre ha switchover --check says"
    else:
        yield f"no client can write from the stop of {primary} until it is started again"
