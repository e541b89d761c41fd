"""Which configuration files are read when nobody names one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["PROJECT_FILE", "find_files"]

PROJECT_FILE = "dbre.yaml"


def find_files(explicit: Path | None, *, environment: Mapping[str, str], directory: Path) -> Sequence[Path]:
    """The files for ``load``, lowest first: the user's own, then the project's.

    ``explicit`` (``--config`` or ``DBRE_CONFIG``) stands for the project's file and is returned whether it exists or not,
    so that ``load`` reports one that is missing; ``dbre.yaml`` of ``directory`` and the user's file are taken if they exist.
    """
    home = environment.get("XDG_CONFIG_HOME") or environment.get("HOME", "/nonexistent") + "/.config"
    user = Path(home) / "dbre" / PROJECT_FILE
    project = explicit or directory / PROJECT_FILE
    return [path for path in (user, project) if os.path.lexists(path) or path == explicit]
