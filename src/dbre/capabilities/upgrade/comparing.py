"""A server before and after it was started with other programs: what it lost, what merely differs. Pure rules."""

from collections.abc import Iterator
from typing import Any

from dbre.capabilities.upgrade.snapshot import Snapshot
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.text import printable

__all__ = ["differences", "require_nothing_lost"]

_MANY = 20


def require_nothing_lost(name: str, before: Snapshot, after: Snapshot) -> None:
    """Raises: NotWhole where queries would fail, or indexes lie, that did neither before."""
    lost = list(_lost(before, after))
    if lost:
        raise NotWhole(
            f"{name} lost something with its new programs: {printable('; '.join(lost[:_MANY]), limit=1000)}",
            hint="install the packages of these extensions for the new version, or wait until the indexes are made anew",
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


def _lost(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for name in sorted(set(after.missing) - set(before.missing)):
        yield f"extension {name} is not installed any more"
    for name in sorted(set(after.collations) - set(before.collations)):
        yield f"{name} sorts otherwise than its indexes"
