"""The plan of ``settings.apply``, made of what every instance said: pure rules, no I/O."""

from collections.abc import Iterator, Sequence
from typing import Any

from dbre.capabilities.settings.documents import ApplySettingsInput
from dbre.capabilities.settings.survey import InstanceForecast
from dbre.core.errors import UsageError
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.ports.session import Role
from dbre.ports.settings import Applies, SettingForecast, SettingState

__all__ = ["plan_of", "state_from", "state_of"]

_SECONDS_EACH = 1.0


def plan_of(asked: ApplySettingsInput, cluster: str, survey: Sequence[InstanceForecast], *, is_whole: bool) -> Plan:
    """Replicas first, so that a bad value hurts them first; unless replicas must not fall below their primary.

    ``is_whole``: all instances of the cluster take part. Raises: UsageError where no order is right.
    """
    ordered = _ordered(survey)
    changing = [one for one in ordered if one.changing]
    names = sorted({told.now.name for one in survey for told in one.forecasts})
    steps = tuple(_apply_step(one) for one in changing)
    return Plan(
        target=f"cluster/{cluster}",
        summary=_summary(cluster, names, changing, len(survey)),
        steps=(*steps, *_watch(asked, cluster)) if steps else (),
        risk=_risk(changing),
        changes=tuple(_changes(ordered)),
        blast_radius=tuple(_blast_radius(cluster, changing)),
        warnings=tuple(dict.fromkeys(_warnings(changing, is_whole=is_whole))),
        observed={one.instance: _observed(one) for one in survey},
        tags=(),
        estimate_seconds=len(steps) * _SECONDS_EACH + (asked.revert_on.watch if asked.revert_on and steps else 0.0),
    )


def state_of(state: SettingState) -> dict[str, Any]:
    """A state as a step's input holds it."""
    return {
        "name": state.name,
        "value": state.value,
        "stored": state.stored,
        "source": state.source,
        "is_pending_restart": state.is_pending_restart,
    }


def state_from(document: dict[str, Any]) -> SettingState:
    """The opposite of ``state_of``."""
    return SettingState(**document)


def _ordered(survey: Sequence[InstanceForecast]) -> list[InstanceForecast]:
    raises = {told.replica_raises for one in survey for told in one.changing} - {None}
    if len(raises) > 1:
        raise UsageError(
            "some of these parameters must reach the replicas first, and others the primary, since a replica needs at least "
            "what its primary has",
            hint="apply those that rise and those that fall one after the other",
        )
    first = Role.PRIMARY if raises == {False} else Role.REPLICA
    return sorted(survey, key=lambda one: (one.role is not first, one.instance))


def _summary(cluster: str, names: Sequence[str], changing: Sequence[InstanceForecast], total: int) -> str:
    what = printable(", ".join(names), limit=200)
    if not changing:
        return f"{what} of {cluster}: all {counted(total, 'instance')} are in the wanted state already"
    return f"set {what} on {len(changing)} of {counted(total, 'instance')} of {cluster}"


def _is_kept_unseen(told: SettingForecast, requested: str | None) -> bool:
    return told.is_lasting and told.stored is None and requested is not None


def _apply_step(one: InstanceForecast) -> Step:
    return Step(
        f"apply:{one.instance}",
        summary=f"on {one.instance}, {one.role}: " + "; ".join(_in_words(told) for told in one.changing),
        input={
            "instance": one.instance,
            "changes": [
                {
                    "name": told.now.name,
                    "request": None if one.requested[told.now.name] is None else told.value,
                    "value": told.value,
                    "stored": told.stored,
                    "waits_for_restart": told.applies is Applies.RESTART,
                    "before": state_of(told.now),
                    # What the server keeps in its own file, and does not tell: only doing it again makes sure of it.
                    **({"keeps_unseen": True} if _is_kept_unseen(told, one.requested[told.now.name]) else {}),
                }
                for told in one.changing
            ],
        },
        undo="restore",
        estimate_seconds=_SECONDS_EACH,
    )


def _in_words(told: SettingForecast) -> str:
    when = " after the next restart" if told.applies is Applies.RESTART else ""
    return printable(f"{told.now.name} from {told.now.value or 'nothing'} to {told.value or 'nothing'}{when}", limit=300)


def _watch(asked: ApplySettingsInput, cluster: str) -> Iterator[Step]:
    if asked.revert_on is not None:
        rule = asked.revert_on
        limit = "pages" if rule.burn is None else f"burns {rule.burn:g} times too fast"
        yield Step(
            "watch",
            summary=f"for {format_duration(rule.watch)}: take everything back if {printable(rule.slo)} {limit}",
            input={"slo": rule.slo, "cluster": cluster, "burn": rule.burn, "seconds": rule.watch},
            estimate_seconds=rule.watch,
        )


def _risk(changing: Sequence[InstanceForecast]) -> Risk:
    if not changing:
        return Risk.READ
    return Risk.SEVERE if any(told.danger for one in changing for told in one.changing) else Risk.MODERATE


def _changes(ordered: Sequence[InstanceForecast]) -> Iterator[Change]:
    for one in ordered:
        for told in one.forecasts:
            yield Change(
                subject=f"{one.instance}: {told.now.name}",
                before=printable(told.now.value, limit=200),
                after=printable(told.value, limit=200),
            )


def _blast_radius(cluster: str, changing: Sequence[InstanceForecast]) -> Iterator[str]:
    at_once = [one.instance for one in changing if any(told.applies is not Applies.RESTART for told in one.changing)]
    if at_once:
        yield f"every client of {', '.join(at_once)} of {cluster}, from its next statement or connection on"
    later = sorted({told.now.name for one in changing for told in one.changing if told.applies is Applies.RESTART})
    if later:
        yield f"nobody until the servers are restarted, for {', '.join(later)}"


def _warnings(changing: Sequence[InstanceForecast], *, is_whole: bool) -> Iterator[str]:
    for one in changing:
        for told in one.changing:
            name = told.now.name
            if told.danger:
                yield f"{name}={printable(told.value, limit=100)}: {told.danger}"
            if told.applies is Applies.RESTART:
                yield f"{name} takes effect at the next restart of each instance; dbre does not restart them"
            if told.replica_raises is not None:
                yield _restart_order(name, raises=told.replica_raises, is_whole=is_whole)
            yield from (f"{one.instance}: {note}" for note in told.notes)


def _restart_order(name: str, *, raises: bool, is_whole: bool) -> str:
    order = "restart the replicas before the primary" if raises else "restart the primary before the replicas"
    rest = "" if is_whole else "; and not all instances take part"
    return f"a replica stops replaying where its {name} is below its primary's: {order}{rest}"


def _observed(one: InstanceForecast) -> dict[str, Any]:
    return {"role": one.role.value, "settings": {told.now.name: _seen(told.now) for told in one.forecasts}}


def _seen(state: SettingState) -> dict[str, Any]:
    return {"value": state.value, "stored": state.stored, "is_pending_restart": state.is_pending_restart}
