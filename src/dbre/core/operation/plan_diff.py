"""What differs between two plans, place by place, for people."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import PlannedOperation
from dbre.core.text import counted, one_line

__all__ = ["PlanDifference", "check_unchanged", "differences"]

_SHOWN = 5
_KEPT = 50
_ABSENT = object()
_COMMANDS = {"settings.apply": "dbre settings apply", "fleet.check": "dbre fleet check"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """One value of a plan, as it was planned and as it would be planned now; None: not there."""

    place: str  # steps.set-work_mem.input.value
    planned: str | None
    now: str | None

    def __str__(self) -> str:
        return f"{self.place}: {self.planned or 'nothing'} -> {self.now or 'nothing'}"


def differences(planned: PlannedOperation, now: PlannedOperation) -> tuple[PlanDifference, ...]:
    """Every value that is not the same in both, in the order of the document."""
    return tuple(_compare("", planned.document(), now.document()))


def check_unchanged(planned: PlannedOperation, now: PlannedOperation) -> None:
    """See that both are the same plan. Raises: PlanChanged, showing what differs."""
    if planned.hash == now.hash:
        return
    found = differences(planned, now)
    shown = "\n".join(f"  {one}" for one in found[:_SHOWN])
    more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise PlanChanged(
        f"the plan would be another one now ({counted(len(found), 'difference')}):\n{shown}{more}",
        hint=f"plan anew and submit that one: {_COMMANDS.get(now.kind, 'the command')} ... --dry-run -o json > plan.json",
        context={
            "plan_hash": planned.hash,
            "plan_hash_now": now.hash,
            "differences": [{"place": one.place, "planned": one.planned, "now": one.now} for one in found[:_KEPT]],
        },
    )


def _compare(place: str, one: Any, other: Any) -> Iterator[PlanDifference]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            yield from _compare(f"{place}.{key}" if place else str(key), one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        yield from _compare(place, _by_name(one), _by_name(other))
    elif one is _ABSENT or other is _ABSENT or json.dumps(one) != json.dumps(other):
        yield PlanDifference(place=one_line(place, limit=200), planned=_text(one), now=_text(other))


def _by_name(items: list[Any]) -> dict[str, Any]:
    """Steps by name and changes by subject, so that one more of them does not make all that follow differ."""
    names = [str(one.get("name") or one.get("subject") or index) if isinstance(one, Mapping) else str(index)
             for index, one in enumerate(items)]  # fmt: skip
    if len(set(names)) != len(names):
        names = [str(index) for index in range(len(items))]
    return dict(zip(names, items, strict=True))


def _text(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit=120)
