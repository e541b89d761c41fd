"""The flags that say which configuration a command works with; they stand before the command or after it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._click import Context  # Typer vendors Click and offers this name nowhere else

from dbre import __version__
from dbre.core.errors import UsageError

__all__ = ["ConfigFlag", "GlobalOptions", "OverrideFlag", "Runtimes", "VerboseFlag", "VersionFlag", "leaf_flags"]

_HELP = "Configuration file; may be repeated. Default: ./dbre.yaml."
ConfigFlag = Annotated[list[Path] | None, typer.Option("--config", "-c", envvar="DBRE_CONFIG", help=_HELP)]
OverrideFlag = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one setting: --set probe.interval=5s.")
]
VerboseFlag = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Log to stderr: -v info, -vv debug.")]


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"dbre {__version__}\n")
        raise typer.Exit


VersionFlag = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version of dbre and exit.")
]


def leaf_flags(
    config: Annotated[list[Path] | None, typer.Option("--config", "-c", help=_HELP)] = None,
    override: OverrideFlag = None,
    verbose: VerboseFlag = 0,
) -> None:
    """Carries the declarations for the place after the command; the environment counts before it only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """The flags before and after the command, joined."""

    config_files: tuple[Path, ...] = ()
    overrides: tuple[tuple[str, str], ...] = ()
    verbosity: int = 0

    def joined(self, *, config: Sequence[Path] | None, override: Sequence[str] | None, verbose: int) -> "GlobalOptions":
        """These and further ones, which come later and so win. Raises: UsageError for an override without a value."""
        return GlobalOptions(
            config_files=(*self.config_files, *(config or ())),
            overrides=(*self.overrides, *map(_override, override or ())),
            verbosity=self.verbosity + verbose,
        )


class Runtimes:
    """Makes what commands find in their context; kept beside it, so that flags after the command count too."""

    _KEY = "dbre.runtimes"

    def __init__(self, make: Callable[[GlobalOptions], object], options: GlobalOptions) -> None:
        self._make = make
        self._options = options

    def install(self, context: Context) -> None:
        """Put a runtime for the flags before the command into the root's context."""
        context.meta[self._KEY] = self
        context.obj = self._make(self._options)

    @classmethod
    def refine(cls, context: Context, given: dict[str, Any]) -> None:
        """Replace a command's runtime by one that knows the flags after the command as well, if there are any."""
        if any(given.values()):
            found: Runtimes = context.meta[cls._KEY]
            context.obj = found._make(found._options.joined(**given))


def _override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text!r} has no value", hint="write --set KEY=VALUE: --set probe.interval=5s")
    return key, value
