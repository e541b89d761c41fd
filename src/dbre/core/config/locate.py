"""Which configuration files are read when nobody names one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["PROJECT_FILE", "find_files"]

PROJECT_FILE = "dbre.yaml"


def find_files(named: Sequence[Path], *, environment: Mapping[str, str], directory: Path) -> Sequence[Path]:
    """The files for ``load``, lowest first: the user's own, then the project's.

    ``named`` (``--config``, ``DBRE_CONFIG``) stand for the project's file and are returned whether they exist or not, so that
    ``load`` reports one that is missing; ``dbre.yaml`` of ``directory`` and the user's file are taken if they exist.
    """
    home = environment.get("XDG_CONFIG_HOME") or environment.get("HOME", "/nonexistent") + "/.config"
    user = Path(home) / "dbre" / PROJECT_FILE
    project = list(named) or [path for path in (directory / PROJECT_FILE,) if os.path.lexists(path)]
    is_apart = all(os.path.realpath(path) != os.path.realpath(user) for path in project)
    return [user, *project] if os.path.lexists(user) and is_apart else project
