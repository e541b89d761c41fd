"""Settings from the environment and from flags, as a tree of the same kind as that of the files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dbre.core.config.problems import Place, Problem
from dbre.core.config.scalars import AmbiguousScalar, read_scalar
from dbre.core.config.tree import Branch, Leaf, Node
from dbre.core.config.yaml_reader import forbidden_character, read_yaml
from dbre.core.text import closest

__all__ = ["from_environment", "from_flags"]

PREFIX = "DBRE_"


def from_environment(environment: Mapping[str, str], *, keys: Iterable[str], problems: list[Problem]) -> Branch:
    """``DBRE_SECTION__KEY=value`` for each variable with two underscores; a list or mapping is written as in YAML."""
    known = set(keys)
    tree = Branch(Place("environment"))
    for name in sorted(environment):
        parts = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or len(parts) < 2:
            continue
        place = Place(f"environment variable {name}", directory=_here())
        if parts[0] not in known:
            near = closest(parts[0], known)
            hint = f"did you mean {PREFIX}{near.upper()}__...?" if near else f"the sections are {', '.join(sorted(known))}"
            problems.append(Problem(place, f"there is no section {parts[0]!r}", hint))
        else:
            _put(tree, parts, environment[name], place=place, problems=problems)
    return tree


def from_flags(flags: Mapping[str, str], *, problems: list[Problem]) -> Branch:
    """``{"server.port": "9000"}``: dotted keys, values as text."""
    tree = Branch(Place("flags"))
    for name, value in flags.items():
        place = Place(f"flag {name}", directory=_here())
        _put(tree, name.replace("-", "_").split("."), value, place=place, problems=problems)
    return tree


def _put(tree: Branch, parts: list[str], text: str, *, place: Place, problems: list[Problem]) -> None:
    if not all(parts):
        problems.append(Problem(place, "the name has an empty part", "write DBRE_SECTION__KEY"))
        return
    branch = tree
    for part in parts[:-1]:
        branch.keys.setdefault(part, place)
        child = branch.entries.setdefault(part, Branch(place))
        if not isinstance(child, Branch):
            problems.append(Problem(place, f"{part} is already set as a whole by {child.place}", "set one of them"))
            return
        branch = child
    if parts[-1] in branch.entries:
        problems.append(Problem(place, f"{parts[-1]} is already set by {branch.keys[parts[-1]]}", "set one of them"))
        return
    node = _read(text, place, problems)
    if node is not None:
        branch.entries[parts[-1]], branch.keys[parts[-1]] = node, place


def _read(text: str, place: Place, problems: list[Problem]) -> Node | None:
    if found := forbidden_character(text):
        problems.append(Problem(place, f"the value holds the character {found}", "remove it"))
        return None
    if text.lstrip()[:1] in ("[", "{"):
        return read_yaml(text, source=place.source, directory=place.directory or Path(), problems=problems)
    # A shell has no types: text stays text unless it can only be a number, true, false or null, and even then the
    # schema may ask for the text (`raw`).
    try:
        return Leaf(place, read_scalar(text) if text else "", raw=text)
    except AmbiguousScalar:
        return Leaf(place, text, raw=text)


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # the working directory is gone
        return None
