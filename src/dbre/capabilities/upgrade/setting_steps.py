"""Which settings change on which server, and in which order: pure rules over what every server said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dbre.capabilities.upgrade.documents import ParametersInput
from dbre.capabilities.upgrade.plan_parts import is_switched, switch_back_step, switch_step
from dbre.capabilities.upgrade.survey import Survey
from dbre.core.errors import UsageError
from dbre.core.operation.plan import Change, Step
from dbre.core.text import printable
from dbre.ports.settings import Applies, SettingForecast, SettingState

__all__ = ["Wanted", "is_lowering", "kept_elsewhere", "setting_changes", "setting_steps", "state_from"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What would become of one instance."""

    instance: str
    forecasts: tuple[SettingForecast, ...]
    requested: Mapping[str, str]  # by the server's own name
    in_file: bool = False  # they stand in a file that dbre writes

    @property
    def needs_start(self) -> bool:
        """Whether one of those that are due counts only after a start."""
        return any(one.applies is Applies.RESTART for one in self.due)

    @property
    def due(self) -> tuple[SettingForecast, ...]:
        """Those that are not in effect yet."""
        return tuple(one for one in self.forecasts if not one.is_already or one.now.is_pending_restart)

    def changes(self) -> list[dict[str, Any]]:
        """What a step needs of them."""
        return [
            {
                "name": one.now.name,
                "request": self.requested[one.now.name],
                "value": one.value,
                "stored": one.stored,
                "before": _document(one.now),
                "needs_start": one.applies is Applies.RESTART,
            }
            for one in self.due
        ]


def state_from(document: Mapping[str, Any]) -> SettingState:
    """The state of before, as a step's input holds it."""
    return SettingState(**document)


def kept_elsewhere(told: SettingForecast, kept: Mapping[str, str]) -> SettingForecast:
    """The forecast where not the server stores it, but whoever starts it, who keeps ``kept`` now."""
    now = replace(told.now, stored=kept.get(told.now.name, kept.get(told.now.name.lower())))
    is_already = told.is_already and not now.is_pending_restart and now.stored in (None, told.stored)
    return replace(told, now=now, stored=now.stored if is_already else told.stored, is_already=is_already)


def is_lowering(seen: Survey, wanted: Sequence[Wanted]) -> bool:
    """Whether the primary must go first, since replicas need at least as much as it has. Raises: UsageError for both."""
    primary = seen.primary
    if primary is None or primary.standing is None:
        return False
    (mine,) = [one for one in wanted if one.instance == primary.name]
    raised: list[str] = []
    lowered: list[str] = []
    for one in mine.due:
        now = primary.standing.at_least.get(one.now.name)
        if now is not None and one.value.isdigit() and int(one.value) != now:
            (raised if int(one.value) > now else lowered).append(one.now.name)
    if raised and lowered:
        raise UsageError(
            f"{', '.join(raised)} must reach the replicas first, and {', '.join(lowered)} the primary, "
            "since a replica needs at least what its primary has",
            hint="roll out those that rise and those that fall one after the other",
        )
    return bool(lowered)


def setting_steps(seen: Survey, asked: ParametersInput, wanted: Sequence[Wanted], *, is_lowered: bool) -> Iterator[Step]:
    """Replicas first, so that a bad value hurts them first; unless it is lowered for which the primary must be first."""
    due = {one.instance: one for one in wanted if one.due}
    old = seen.primaries[0]
    primary = [_change_step(due[old], as_primary=True)] if old in due else []
    replicas = [_change_step(due[name], as_primary=False) for name in seen.replicas if name in due]
    if seen.steward is not None and due:
        yield _keep_step(seen.steward, [due[name] for name in seen.nodes if name in due])
    if is_lowered:
        yield from (*primary, *replicas)
        return
    yield from replicas
    if old not in due:
        return
    if not is_switched(seen, asked) or not any(one.needs_start for one in due.values()):
        yield from primary
        return
    if seen.steward is None:
        yield Step(
            f"store:{old}",
            summary=f"store the same on {old}, for its next start",
            input={"instance": old, "changes": due[old].changes(), "as_primary": True, "in_file": due[old].in_file},
            undo="forget",
        )
    yield switch_step(old, is_final=True)
    yield _change_step(due[old], as_primary=False)
    if asked.back:
        yield switch_back_step(old)


def setting_changes(wanted: Sequence[Wanted]) -> Iterator[Change]:
    """Each setting of each instance as it is, and as it will be."""
    for one in wanted:
        for told in one.forecasts:
            before, after = printable(told.now.value, limit=200), printable(told.value, limit=200)
            yield Change(subject=f"{one.instance}: {told.now.name}", before=before, after=after)


def _change_step(one: Wanted, *, as_primary: bool) -> Step:
    shown = "; ".join(f"{told.now.name} from {told.now.value or 'nothing'} to {told.value or 'nothing'}" for told in one.due)
    verb = "set, restart" if one.needs_start else "set"
    return Step(
        f"change:{one.instance}",
        summary=printable(f"{verb} {one.instance} as {'primary' if as_primary else 'replica'}: {shown}", limit=500),
        input={"instance": one.instance, "changes": one.changes(), "as_primary": as_primary, "in_file": one.in_file},
        undo="take-back",
    )


def _keep_step(steward: str, due: Sequence[Wanted]) -> Step:
    shown = "; ".join(sorted({f"{told.now.name} = {told.value}" for one in due for told in one.due}))
    changes = {change["name"]: change for one in due for change in one.changes()}  # what is kept is the same for all
    return Step(
        "keep",
        summary=printable(f"have {steward} keep it for all servers, without a restart: {shown}", limit=500),
        input={"instance": due[0].instance, "changes": list(changes.values())},
        undo="unkeep",
    )


def _document(state: SettingState) -> dict[str, Any]:
    return {
        "name": state.name,
        "value": state.value,
        "stored": state.stored,
        "source": state.source,
        "is_pending_restart": state.is_pending_restart,
    }
