"""Parameters in which the members of one cluster differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.ports.settings import Setting

__all__ = ["SettingDrift", "drift_between"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDrift:
    """One parameter with the value of each instance; ``None`` where it is withheld, or the instance has no such parameter."""

    name: str
    unit: str | None
    values: Mapping[str, str | None]


def drift_between(settings: Mapping[str, Sequence[Setting]]) -> tuple[SettingDrift, ...]:
    """What differs between instances, by name; parameters that every member has for itself are left out.

    ``settings`` is by name of the instance. A parameter that some instance does not have counts where it has the same version
    only, so give instances of one version.
    """
    by_name: dict[str, dict[str, Setting]] = {}
    for instance, found in settings.items():
        for one in found:
            by_name.setdefault(one.name, {})[instance] = one
    return tuple(
        SettingDrift(
            name=name,
            unit=next(iter(having.values())).unit,
            values={instance: having[instance].value if instance in having else None for instance in settings},
        )
        for name, having in sorted(by_name.items())
        if not any(one.is_own for one in having.values()) and len({one.value for one in having.values()}) > 1
    )
