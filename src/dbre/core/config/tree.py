"""Configuration as a tree of values, each with the place where it was written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from dbre.core.config.problems import Place, Problem

__all__ = ["Branch", "Leaf", "Listing", "Node", "Path", "PlacedText", "Reported", "join", "override", "plain", "step"]

Path = tuple[str | int, ...]


class Reported(str):
    """Text that was found wrong already: it stands in the tree so that reading goes on, and is not reported again."""

    __slots__ = ()


@dataclass(slots=True)
class Leaf:
    """One scalar. ``raw`` is its text where the source has no types (environment, flags)."""

    place: Place
    value: str | int | float | bool | None
    raw: str | None = None


@dataclass(slots=True)
class Listing:
    """A sequence."""

    place: Place
    items: "list[Node]" = field(default_factory=list)


@dataclass(slots=True)
class Branch:
    """A mapping; ``keys`` are the places of the keys, ``place`` is that of the first."""

    place: Place
    entries: "dict[str, Node]" = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


Node = Leaf | Listing | Branch


class PlacedText(str):
    """Text that knows where relative paths in it start, for the field types that need it."""

    directory: FilePath | None


def plain(node: Node, *, placed: bool = False) -> Any:
    """The values alone: dicts, lists and scalars; with ``placed``, text is ``PlacedText``."""
    if isinstance(node, Branch):
        return {key: plain(value, placed=placed) for key, value in node.entries.items()}
    if isinstance(node, Listing):
        return [plain(item, placed=placed) for item in node.items]
    if placed and isinstance(node.value, str):
        text = PlacedText(node.value)
        text.directory = node.place.directory
        return text
    return node.value


def step(node: Node, part: object) -> Node | None:
    """The child of that key or index, or None."""
    if isinstance(node, Branch) and isinstance(part, str):
        return node.entries.get(part)
    if isinstance(node, Listing) and isinstance(part, int) and not isinstance(part, bool) and 0 <= part < len(node.items):
        return node.items[part]
    return None


def join(first: Branch, second: Branch, *, problems: list[Problem], path: Sequence[str] = ()) -> Branch:
    """Two files of one layer: mappings are united, lists are appended, any other key may be given once."""
    result = Branch(first.place, dict(first.entries), dict(first.keys))
    for key, new in second.entries.items():
        old = result.entries.get(key)
        if old is None or _is_empty(old):
            result.entries[key], result.keys[key] = new, second.keys[key]
        elif isinstance(old, Branch) and isinstance(new, Branch):
            result.entries[key] = join(old, new, problems=problems, path=(*path, key))
        elif isinstance(old, Listing) and isinstance(new, Listing):
            result.entries[key] = Listing(old.place, [*old.items, *new.items])
        elif not _is_empty(new):
            name = ".".join((*path, key))
            problems.append(Problem(second.keys[key], f"{name} is already set in {result.keys[key]}", "keep one of them"))
    return result


def override(lower: Branch, upper: Branch, *, problems: list[Problem] | None = None, path: Sequence[str] = ()) -> Branch:
    """A layer over another: mappings are united key by key, anything else of the upper layer replaces the lower.

    ``problems``: the upper layer is text (flags, environment), whose keys may lead into a list, by number or by ``name``:
    ``vaults.0.path``, ``vaults.cellar.path``.
    """
    result = Branch(upper.place, dict(lower.entries), dict(lower.keys))
    for key, new in upper.entries.items():
        old, below = result.entries.get(key), (*path, key)
        if isinstance(old, Branch) and isinstance(new, Branch):
            result.entries[key] = override(old, new, problems=problems, path=below)
        elif isinstance(old, Listing) and isinstance(new, Branch) and problems is not None:
            result.entries[key] = _override_items(old, new, problems, below)
            continue  # the list is still where it was written
        else:
            result.entries[key] = new
        result.keys[key] = upper.keys[key]
    return result


def _override_items(lower: Listing, upper: Branch, problems: list[Problem], path: Sequence[str]) -> Listing:
    items = list(lower.items)
    names = [_name_of(one) for one in items]
    for key, new in upper.entries.items():
        number = int(key) if key.isascii() and key.isdigit() else names.index(key) if key in names else len(items)
        if number >= len(items):
            there = ", ".join(f"{at} ({name})" if name else str(at) for at, name in enumerate(names)) or "none"
            where = ".".join(path)
            problems.append(Problem(upper.keys[key], f"{where} has no element {key!r}", f"it has {there}"))
            continue
        old = items[number]
        both = isinstance(old, Branch) and isinstance(new, Branch)
        items[number] = override(old, new, problems=problems, path=(*path, key)) if both else new  # type: ignore[arg-type]
    return Listing(lower.place, items)


def _name_of(item: Node) -> str | None:
    found = item.entries.get("name") if isinstance(item, Branch) else None
    return found.value if isinstance(found, Leaf) and isinstance(found.value, str) else None


def _is_empty(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None
