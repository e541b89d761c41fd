"""A server before and after it was started with other programs: what it lost, what merely differs. Pure rules."""

from typing import Any

from dbre.capabilities.upgrade.snapshot import COLLATION_REMEDY, Snapshot
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.text import printable

__all__ = ["differences", "require_nothing_lost"]

_MANY = 20


def require_nothing_lost(name: str, before: Snapshot, after: Snapshot) -> None:
    """Raises: NotWhole where queries would fail, or indexes lie, that did neither before."""
    gone = [f"extension {one} is not installed any more" for one in sorted(set(after.missing) - set(before.missing))]
    sorts = [f"{one} sorts otherwise than its indexes" for one in sorted(set(after.collations) - set(before.collations))]
    lost, remedies = [*gone, *sorts], []
    if gone:
        remedies.append("install the packages of these extensions for the new version")
    if sorts:
        remedies.append(
            "keep the library that sorts as before; or take the new one on every server by dbre upgrade restart, and then at "
            f"once on the primary {COLLATION_REMEDY}"
        )
    if lost:
        raise NotWhole(
            f"{name} lost something with its new programs: {printable('; '.join(lost[:_MANY]), limit=1000)}",
            hint="; ".join(remedies),
            context={"instance": name},
        )


def differences(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What somebody should know of, as the journal keeps it; nothing of it stops an upgrade."""
    names = sorted(before.settings.keys() | after.settings.keys())
    changed = [
        f"{name}: {before.settings.get(name, 'built-in')} -> {after.settings.get(name, 'built-in')}"
        for name in names
        if before.settings.get(name) != after.settings.get(name)
    ]
    found: dict[str, Any] = {
        "settings_changed": [printable(one, limit=300) for one in changed[:_MANY]],
        "extensions_outdated": [f"{name}: {after.extensions[name]}, {offered} is installed"
                                for name, offered in sorted(after.outdated.items())][:_MANY],
        "p95_before": before.p95_seconds,
        "p95_after": after.p95_seconds,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value not in ([], None)}
