"""Reads every source of configuration, joins them by precedence, and checks all of it at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from dbre.core.config.files import FileReader
from dbre.core.config.overrides import from_environment, from_flags
from dbre.core.config.problems import ConfigInvalid, Place, Problem
from dbre.core.config.section import Section
from dbre.core.config.tree import Branch, Leaf, Node, override, step
from dbre.core.config.validation import validate
from dbre.core.text import closest

__all__ = ["Config", "Origin", "load"]

DocumentType = TypeVar("DocumentType")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One effective value and where it came from: ``dbre.yaml:12:5``, ``environment variable ...``, ``default``."""

    key: str
    value: object
    origin: str


class Config:
    """The effective configuration: validated documents, and the place of each value. Immutable."""

    def __init__(
        self, *, sections: Sequence[Section[Any]], documents: Mapping[str, Any], tree: Branch, files: Sequence[Path]
    ) -> None:
        self.sections = tuple(sections)
        self.files = tuple(files)
        self.directory = self.files[-1].parent if self.files else Path.cwd()
        self._documents = dict(documents)
        self._tree = tree

    def get(self, section: Section[DocumentType]) -> DocumentType:
        """The document of a section; its default where no source names it."""
        document: DocumentType = self._documents[section.key] if section.key in self._documents else section.default()
        return document

    def place(self, key: str) -> str:
        """Where a value was written: ``slos[2].target`` gives ``dbre.yaml:12:5``; ``default`` where nobody wrote it."""
        return str(self.placed(key))

    def placed(self, key: str) -> Place:
        """The same as data, for a ``Problem`` that is found later."""
        return self._place(_parts(key))

    def directory_of(self, key: str) -> Path:
        """Where relative paths in a value start: the directory of the file that holds it."""
        return self.placed(key).directory or self.directory

    def document(self) -> dict[str, Any]:
        """The effective configuration as it would be written: secrets as references, defaults filled in."""
        return {
            section.key: TypeAdapter(section.shape).dump_python(self.get(section), mode="json", by_alias=True)
            for section in self.sections
        }

    def origin(self) -> Sequence[Origin]:
        """Every effective value with its origin, section by section."""
        return [
            Origin(key=_joined(path), value=value, origin=str(self._place(path)))
            for section in self.sections
            for path, value in _flat((section.key,), self.document()[section.key])
        ]

    def _place(self, path: Sequence[str | int]) -> Place:
        node: Node | None = self._tree
        place = Place("default")
        for part in path:
            if isinstance(node, Branch) and isinstance(part, str) and part in node.keys:
                place = node.keys[part]
            node = step(node, part) if node is not None else None
            if node is None:
                return Place("default")
            if isinstance(part, int):
                place = node.place
        return place


def load(
    files: Sequence[Path],
    *,
    sections: Sequence[Section[Any]],
    environment: Mapping[str, str],
    flags: Mapping[str, str],
) -> Config:
    """The configuration of all sources, highest first: flags, environment, the last of ``files``, ..., the first, defaults.

    Raises: ConfigInvalid with every problem of every source.
    """
    problems: list[Problem] = []
    read: list[Path] = []
    tree = Branch(Place("default"))
    for path in files:  # a reader each: two layers may include one file
        tree = override(tree, FileReader(problems=problems, files=read).read(path) or Branch(Place("default")))
    keys = [section.key for section in sections]
    tree = override(tree, from_environment(environment, keys=keys, problems=problems), problems=problems)
    tree = override(tree, from_flags(flags, problems=problems), problems=problems)
    documents: dict[str, Any] = {}
    for section in sections:
        node = tree.entries.get(section.key)
        if node is not None and not (isinstance(node, Leaf) and node.value is None):
            documents[section.key] = validate(section, node, problems=problems)
    problems += _unknown(tree, keys)
    if problems:
        raise ConfigInvalid(problems)
    return Config(sections=sections, documents=documents, tree=tree, files=read)


def _unknown(tree: Branch, keys: Sequence[str]) -> Iterator[Problem]:
    for key, place in tree.keys.items():
        if key not in keys and not key.startswith("x-"):
            near = closest(key, [*keys, "include"])
            hint = f"did you mean {near}?" if near else f"known keys: {', '.join(sorted([*keys, 'include']))}"
            yield Problem(place, f"unknown key {key!r}", hint)


def _parts(key: str) -> list[str | int]:
    parts: list[str | int] = []
    for word in key.split("."):
        name, *indices = word.replace("]", "").split("[")
        parts += [name, *(int(index) for index in indices if index.isdigit())]
    return parts


def _joined(path: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _flat(path: tuple[str | int, ...], value: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _flat((*path, str(key)), below)
    elif isinstance(value, list) and value:
        for index, below in enumerate(value):
            yield from _flat((*path, index), below)
    else:
        yield path, value
