"""An experiment in a file: ours as YAML or JSON, judged with the line of everything that is wrong."""

import os
from pathlib import Path
from typing import Any

from dbre.capabilities.chaos.documents import Experiment
from dbre.core.config import ConfigInvalid, Section
from dbre.core.config.problems import Problem
from dbre.core.config.tree import Node, plain
from dbre.core.config.validation import validate
from dbre.core.config.yaml_reader import read_yaml
from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["ExperimentInvalid", "read_experiment", "read_plain"]

_LIMIT_BYTES = 2**20


class ExperimentInvalid(ConfigInvalid):
    """A file holds no experiment that could be run; every problem is told with its line."""

    code = "chaos.experiment_invalid"
    subject = "the experiment has"
    advice = "dbre chaos schema prints every key, its type and what it means"


def _nothing() -> Experiment:
    raise AssertionError("a file is read, or there is no experiment")


_SECTION = Section("experiment", Experiment, default=_nothing, summary="an experiment")


def read_experiment(name: str) -> dict[str, Any]:
    """What the file asks for, as an operation takes it. Raises: UsageError with file and line."""
    node = _read(name)
    found = _mapping(name, node)
    if "method" in found or "steady-state-hypothesis" in found:
        raise UsageError(
            f"{printable(name)} is an experiment of Chaos Toolkit",
            hint="translate it first: dbre chaos import FILE --cluster CLUSTER",
        )
    problems: list[Problem] = []
    validate(_SECTION, node, problems=problems)
    if problems:
        raise ExperimentInvalid(problems)
    return found


def read_plain(name: str) -> dict[str, Any]:
    """The mapping that a file of YAML or JSON holds. Raises: UsageError with file and line."""
    return _mapping(name, _read(name))


def _mapping(name: str, node: Node) -> dict[str, Any]:
    found = plain(node)
    if not isinstance(found, dict):
        raise UsageError(f"{printable(name)} holds no experiment: keys with values are expected", hint="see dbre chaos schema")
    return found


def _read(name: str) -> Node:
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
        raise ExperimentInvalid(problems)
    if node is None:
        raise UsageError(f"{shown} holds no experiment: it is empty", hint="see dbre chaos schema")
    return node
