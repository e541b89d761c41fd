"""Facet ``settings``: server parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import DbreError, PrecheckFailed, UsageError
from dbre.core.text import closest, quoted

__all__ = [
    "Applies",
    "Setting",
    "SettingForecast",
    "SettingNotInEffect",
    "SettingRefused",
    "SettingState",
    "SettingsPort",
    "find_setting",
]


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
    is_own: bool = False  # differs between the members of a cluster by its nature: names, addresses, directories
    danger: str | None = None  # what its present value may do to data or clients
    is_destructive: bool = False  # the danger is that a crash destroys data


class SettingRefused(PrecheckFailed):
    """The parameter may not be changed by dbre, not on this server, or not to this value."""

    code = "settings.refused"


class SettingNotInEffect(DbreError):
    """The server took the change, and does not show it."""

    code = "settings.not_in_effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingState:
    """One parameter as it stands, with all that putting it back needs. Values are texts as people write them: 64MB."""

    name: str
    value: str  # what new sessions get
    stored: str | None  # what the server itself keeps for its next start, exactly as it stands there; None: nothing
    source: str
    is_pending_restart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingForecast:
    """What a change of one parameter would mean on one server, found out without changing anything."""

    now: SettingState
    value: str  # what new sessions get once it is in effect
    stored: str | None  # what the server will keep for its next start
    applies: Applies
    is_already: bool  # nothing is left to do
    is_lasting: bool  # survives a restart of the server
    danger: str | None = None  # why it is a severe act
    notes: tuple[str, ...] = ()  # what hides it, what else takes effect, what to write into a file
    replica_raises: bool | None = None  # a replica needs at least its primary's value, and this raises it; None: no such thing


class SettingsPort(Protocol):
    """Server parameters."""

    async def list(self) -> Sequence[Setting]:
        """All parameters that our login may see, sorted by name."""
        ...

    async def get(self, name: str) -> Setting:
        """One parameter. Raises: UsageError with a did-you-mean if the server has none of that name."""
        ...

    async def state(self, name: str) -> SettingState:
        """One parameter as a new session sees it, and as it is stored. Raises: UsageError, Denied, Unsupported."""
        ...

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What ``change`` would do; only looks. ``None`` takes away what the server stores, so that its files or default count.

        ``is_kept_elsewhere``: not the server stores it, but whoever starts it, and nothing is asked of our login.

        Raises: UsageError for an unknown name or a value of the wrong form, SettingRefused with the reason, Denied without the
        privilege, Unsupported where the engine cannot change parameters.
        """
        ...

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Store the value (or, with None, take the stored one away), let it take effect, and wait until the server shows it.

        A parameter that needs a restart is stored only, and then pending. Doing it again changes nothing.
        ``is_kept_elsewhere``: it takes effect, and nothing is stored.
        Raises: as ``foresee``; SettingNotInEffect where the server does not show it in time; Unsupported where the server
        cannot have a value without storing it.
        """
        ...

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Put a parameter back to what ``state`` said of it, exactly, and wait until the server shows it.

        ``is_kept_elsewhere``: as in ``change``.
        """
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
    raise UsageError(f"{whose} no parameter {quoted(name, limit=100)}", hint=f"did you mean {near}?" if near else otherwise)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
