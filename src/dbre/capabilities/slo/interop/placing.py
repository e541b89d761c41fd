"""Documents judged at the places of the file they come from."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dbre.core.config import Document, Section
from dbre.core.config.problems import Place, Problem
from dbre.core.config.tree import Branch, Leaf, Listing, Node
from dbre.core.config.validation import validate

__all__ = ["judged", "placed"]

Shape = TypeVar("Shape", bound=Document)


def judged(node: Branch, shape: type[Shape], *, name: str, problems: list[Problem]) -> Shape | None:
    """The document that a mapping of a file is, or None where something is wrong with it (it is noted)."""
    section: Section[Any] = Section(key=name, shape=shape, default=dict, summary="")
    document: Shape | None = validate(section, node, problems=problems)
    return document


def placed(value: object, place: Place) -> Node:
    """Plain values as a tree that stands at one place."""
    if isinstance(value, Mapping):
        keys = {str(key): place for key in value}
        return Branch(place, {str(key): placed(below, place) for key, below in value.items()}, keys)
    if isinstance(value, list | tuple):
        return Listing(place, [placed(below, place) for below in value])
    return Leaf(place, value if isinstance(value, str | int | float | bool) or value is None else str(value))
