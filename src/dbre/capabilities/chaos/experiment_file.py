"""An experiment in a file: ours as YAML or JSON."""

import os
from pathlib import Path
from typing import Any

from dbre.core.config.problems import Problem
from dbre.core.config.tree import plain
from dbre.core.config.yaml_reader import read_yaml
from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["read_experiment", "read_plain"]

_LIMIT_BYTES = 2**20


def read_experiment(name: str) -> dict[str, Any]:
    """What the file asks for; its meaning is for the operation to judge. Raises: UsageError with file and line."""
    found = read_plain(name)
    if "method" in found or "steady-state-hypothesis" in found:
        raise UsageError(
            f"{printable(name)} is an experiment of Chaos Toolkit",
            hint="translate it first: dbre chaos import FILE --cluster CLUSTER",
        )
    return found


def read_plain(name: str) -> dict[str, Any]:
    """The mapping that a file of YAML or JSON holds. Raises: UsageError with file and line."""
    shown = printable(name)
    try:
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}", hint="name a file of YAML or JSON") from error
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"{shown} is larger than 1 MB", hint="an experiment is a page of text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8 text", hint="save it as UTF-8") from error
    problems: list[Problem] = []
    node = read_yaml(text, source=name, directory=Path(name).parent, problems=problems)
    if problems:
        raise UsageError("; ".join(str(one) for one in problems[:5]), hint="dbre chaos schema shows what it may say")
    found = plain(node) if node is not None else None
    if not isinstance(found, dict):
        raise UsageError(f"{shown} holds no experiment: keys with values are expected", hint="see dbre chaos schema")
    return found
