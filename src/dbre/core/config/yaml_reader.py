"""YAML text to a tree with places: strict, bounded, and without the parts of YAML that execute, guess or explode."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from dbre.core.config.problems import Place, Problem
from dbre.core.config.scalars import AmbiguousScalar, is_date, read_scalar
from dbre.core.config.tree import Branch, Leaf, Listing, Node, Reported

__all__ = ["forbidden_character", "read_yaml"]

LIMIT_DEPTH = 32
LIMIT_NODES = 200_000  # after expansion of aliases

# libyaml where PyYAML was built with it (all wheels): ten times faster; both give the same events.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_QUOTED = re.compile(r"'([^']*)'")
_HINTS = (
    ("expected ','", "check the brackets and commas"),
    ("cannot start any token", "indent with spaces, not tabs, and put text with special characters in quotes"),
    ("mapping values are not allowed", "check the indentation, and put text that holds ': ' in quotes"),
    ("could not find expected ':'", "check the indentation, and the quote or bracket before this line"),
    ("expected <block end>", "check the indentation: keys of one mapping begin in one column"),
    ("did not find expected key", "check the indentation: keys of one mapping begin in one column"),
)


class Mark(Protocol):
    """Where an event of the parser stands, counted from 0."""

    line: int
    column: int


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is being read."""

    node: Branch | Listing
    anchor: str | None
    key: str | None = None
    key_place: Place | None = None
    wants_value: bool = False
    size: int = 1
    depth: int = 1


@dataclass(slots=True)
class _Measured:
    node: Node
    size: int
    depth: int


class _Stop(Exception):
    """The rest of the file cannot be read."""


def read_yaml(text: str, *, source: str, directory: Path, problems: list[Problem], is_foreign: bool = False) -> Node | None:
    """The tree of one document, or None if it is empty or cannot be read; everything wrong goes to ``problems``.

    ``is_foreign``: another tool's file, where an unquoted date is text and a key without a value is null.
    """
    reader = _Reader(source, directory, problems, is_foreign)
    try:
        reader.check_characters(text)
        for event in _events(text):
            reader.take(event)
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        # An unclosed quote or bracket is found at the end of the file, but wrong where it was opened.
        mark = error.problem_mark
        if error.context_mark is not None and (
            mark is None or mark.line >= text.rstrip().count("\n") + 1 or re.search("stream end|end of", str(error.problem))
        ):
            mark = error.context_mark
        reader.report(mark, *_explain(error))
        return None
    except yaml.YAMLError:
        reader.report(None, "this is not YAML")
        return None
    return reader.root


def forbidden_character(text: str) -> str | None:
    """The first character that hides or changes what a reader sees, as ``U+0007``, or None."""
    found = _FORBIDDEN.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def _events(text: str) -> Iterator[yaml.Event]:
    return iter(yaml.parse(text, Loader=_LOADER))


def _read_value(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    if found := forbidden_character(event.value):
        raise AmbiguousScalar(f"text holds the character {found}", "remove the escape")
    return read_scalar(event.value) if event.style in (None, "") else event.value


def _explain(error: yaml.MarkedYAMLError) -> tuple[str, str | None]:
    # A quoted part of the message is the user's text, which may be a secret.
    words = " ".join(part for part in (error.context, error.problem) if part)
    message = _QUOTED.sub(lambda quoted: "text" if re.search(r"\w", quoted[1]) and quoted[1][0] != "<" else quoted[0], words)
    return f"not valid YAML: {message or 'unreadable'}", next((hint for part, hint in _HINTS if part in message), None)


@dataclass(slots=True)
class _Reader:
    """Takes the events of one file and builds its tree."""

    source: str
    directory: Path
    problems: list[Problem]
    is_foreign: bool = False
    root: Node | None = None
    frames: list[_Frame] = field(default_factory=list)
    anchors: dict[str, _Measured] = field(default_factory=dict)
    documents: int = 0
    nodes: int = 0

    def place(self, mark: Mark | None) -> Place:
        """The place of a mark, counted from 1."""
        if mark is None:
            return Place(self.source, directory=self.directory)
        return Place(self.source, mark.line + 1, mark.column + 1, self.directory)

    def report(self, mark: Mark | None, message: str, hint: str | None = None) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.place(mark), message, hint))

    def stop(self, mark: Mark | None, message: str, hint: str | None = None) -> None:
        """Note a problem and give the file up."""
        self.report(mark, message, hint)
        raise _Stop

    def check_characters(self, text: str) -> None:
        """Refuse characters that hide or change what a reader of the file sees."""
        found = _FORBIDDEN.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
            place = Place(self.source, line, column, self.directory)
            self.problems.append(
                Problem(place, f"character U+{ord(found[0]):04X} is not allowed in a configuration file", "remove it")
            )
            raise _Stop

    def take(self, event: yaml.Event) -> None:
        """One event of the parser."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.stop(
                    event.start_mark, "a second document begins here", "one file holds one document; remove the line with ---"
                )
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self.frames.pop()
            self._add(frame.node, frame.size, frame.depth, anchor=frame.anchor)

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._refuse_tag(event)
        self._refuse_as_key(event.start_mark)
        if len(self.frames) >= LIMIT_DEPTH:
            self.stop(event.start_mark, f"nested deeper than {LIMIT_DEPTH} levels")
        place = self.place(event.start_mark)
        node = Branch(place) if isinstance(event, yaml.MappingStartEvent) else Listing(place)
        self._count(event.start_mark, 1)
        self.frames.append(_Frame(node, event.anchor))

    def _take_alias(self, event: yaml.AliasEvent) -> None:
        self._refuse_as_key(event.start_mark)
        target = self.anchors.get(event.anchor or "")
        if target is None:  # the name is not repeated: an unquoted secret may begin with *
            self.stop(event.start_mark, "no anchor of that name stands above", "put text that begins with * in quotes")
        else:
            self._count(event.start_mark, target.size)
            if len(self.frames) + target.depth > LIMIT_DEPTH:
                self.stop(event.start_mark, f"nested deeper than {LIMIT_DEPTH} levels")
            self._add(target.node, target.size, target.depth, anchor=None)

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        self._refuse_tag(event)
        self._count(event.start_mark, 1)
        value: str | int | float | bool | None
        try:
            value = _read_value(event)
        except AmbiguousScalar as trap:
            if self.is_foreign and is_date(event.value):
                value = event.value
            else:
                self.report(event.start_mark, trap.message, trap.hint)
                value = Reported(event.value)
        frame = self.frames[-1] if self.frames else None
        is_key = frame is not None and isinstance(frame.node, Branch) and not frame.wants_value
        is_empty = event.value == "" and event.style in (None, "") and not self.is_foreign
        if not is_key and len(self.frames) > 1 and is_empty:
            # A password that begins with # or & would vanish without a word.
            self.report(event.start_mark, "there is no value", "write one, or null; text that begins with # or & needs quotes")
            value = Reported()
        if frame is not None and is_key:
            self._take_key(frame, event, value)
        else:
            self._add(Leaf(self.place(event.start_mark), value), 1, 0, anchor=event.anchor)

    def _take_key(self, frame: _Frame, event: yaml.ScalarEvent, value: object) -> None:
        frame.wants_value, frame.key, frame.key_place = True, None, self.place(event.start_mark)
        if event.value == "<<":
            self.report(
                event.start_mark, "merge keys are not supported", "write the keys out, or use an alias for the whole value"
            )
        elif not isinstance(value, str):
            self.report(event.start_mark, "a key must be text", "put it in quotes")
        elif isinstance(frame.node, Branch) and value in frame.node.entries:
            first = frame.node.keys[value]
            self.report(event.start_mark, f"key {value!r} is already given in line {first.line}", "keep one of them")
        else:
            frame.key = str(value)
        if event.anchor:
            self.anchors[event.anchor] = _Measured(Leaf(frame.key_place, event.value), 1, 0)

    def _add(self, node: Node, size: int, depth: int, *, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = _Measured(node, size, depth)
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.size, frame.depth = frame.size + size, max(frame.depth, depth + 1)
        if isinstance(frame.node, Listing):
            frame.node.items.append(node)
            return
        if frame.key is not None and frame.key_place is not None:
            frame.node.entries[frame.key], frame.node.keys[frame.key] = node, frame.key_place
        frame.wants_value, frame.key = False, None

    def _count(self, mark: Mark | None, size: int) -> None:
        self.nodes += size
        if self.nodes > LIMIT_NODES:
            self.stop(mark, f"more than {LIMIT_NODES} values, aliases written out", "use fewer aliases, or several files")

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:  # not repeated: an unquoted secret may begin with !
            self.report(event.start_mark, "YAML tags are not supported", "remove it, or put text that begins with ! in quotes")

    def _refuse_as_key(self, mark: Mark | None) -> None:
        if self.frames and isinstance(self.frames[-1].node, Branch) and not self.frames[-1].wants_value:
            self.stop(mark, "a key must be text", "put it in quotes")
