"""Facet ``settings``: server parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import UsageError
from dbre.core.text import closest, printable

__all__ = ["Applies", "Setting", "SettingsPort", "find_setting"]


class Applies(StrEnum):
    """When a changed parameter takes effect."""

    SESSION = "session"  # new or current sessions, no reload needed
    RELOAD = "reload"
    RESTART = "restart"
    NEVER = "never"  # fixed when the server or its data directory was built


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One server parameter. Values are text as the server prints them; secrets among them are withheld as ``None``."""

    name: str
    value: str | None
    unit: str | None
    default: str | None
    source: str  # default, configuration file, command line, ...
    applies: Applies
    is_pending_restart: bool | None  # None: the engine cannot tell


class SettingsPort(Protocol):
    """Server parameters."""

    async def list(self) -> Sequence[Setting]:
        """All parameters that our login may see, sorted by name."""
        ...

    async def get(self, name: str) -> Setting:
        """One parameter. Raises: UsageError with a did-you-mean if the server has none of that name."""
        ...


def find_setting(name: str, settings: Sequence[Setting], *, whose: str, otherwise: str | None = None) -> Setting:
    """The parameter of that name, whatever the case of its letters, and ``-`` being ``_``.

    ``whose`` begins the message: "the server has"; ``otherwise`` is the hint where no name is near.

    Raises: UsageError with a did-you-mean.
    """
    found = next((setting for setting in settings if _plain(setting.name) == _plain(name)), None)
    if found is not None:
        return found
    near = closest(name, [setting.name for setting in settings])
    raise UsageError(
        f"{whose} no parameter {printable(name, limit=100)!r}", hint=f"did you mean {near}?" if near else otherwise
    )


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
