"""Configuration files and what they include, read into one tree a layer."""

import glob
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dbre.core.config.problems import Place, Problem
from dbre.core.config.tree import Branch, Leaf, Listing, Node, join
from dbre.core.config.yaml_reader import read_yaml

__all__ = ["FileReader"]

LIMIT_FILE_BYTES = 4 * 1024 * 1024
LIMIT_FILES = 1000
_SUFFIXES = (".yaml", ".yml")


@dataclass(slots=True)
class FileReader:
    """Reads files with their includes; collects what is wrong with all of them."""

    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    _open: list[Path] = field(default_factory=list)  # the chain of includes that led here
    _included_from: dict[Path, Place] = field(default_factory=dict)

    def read(self, path: Path, *, named_at: Place | None = None) -> Branch | None:
        """The tree of a file and everything that it includes, or None where it cannot be read."""
        if "\0" in str(path):
            self.problems.append(Problem(named_at or Place(str(path)), "a path holds no zero byte", "check the path"))
            return None
        path = Path(os.path.abspath(path))  # noqa: PTH100 - links are kept: a relative path starts where the link stands
        shown = _shown(path)
        place = named_at or Place(shown, directory=path.parent)
        real = Path(os.path.realpath(path))  # unlike resolve(), leaves a circle of links to be reported when it is opened
        if real in self._open:
            self.problems.append(Problem(place, f"include leads back to {shown}", "remove one include of the circle"))
            return None
        if real in self._included_from:
            first = self._included_from[real]
            self.problems.append(Problem(place, f"{shown} is included twice, first from {first}", "keep one include"))
            return None
        if len(self.files) >= LIMIT_FILES:
            self.problems.append(Problem(place, f"more than {LIMIT_FILES} files", "include fewer"))
            return None
        self._included_from[real] = place
        text = self._text(path, shown, place)
        if text is None:
            return None
        self.files.append(path)
        tree = read_yaml(text, source=shown, directory=path.parent, problems=self.problems)
        if tree is None or (isinstance(tree, Leaf) and tree.value is None):
            return Branch(Place(shown, 1, 1, path.parent))
        if not isinstance(tree, Branch):
            self.problems.append(Problem(tree.place, "the file must hold keys with values", "begin with a key, such as fleet:"))
            return None
        self._open.append(real)
        try:
            return self._with_includes(tree, path.parent)
        finally:
            self._open.pop()

    def _with_includes(self, tree: Branch, directory: Path) -> Branch:
        include = tree.entries.pop("include", None)
        tree.keys.pop("include", None)
        for leaf in self._patterns(include):
            for path in self._matches(leaf, directory):
                below = self.read(path, named_at=leaf.place)
                if below is not None:
                    tree = join(tree, below, problems=self.problems)
        return tree

    def _patterns(self, include: Node | None) -> list[Leaf]:
        items = include.items if isinstance(include, Listing) else [include] if include is not None else []
        patterns = []
        for item in items:
            if isinstance(item, Leaf) and isinstance(item.value, str) and item.value and "\0" not in item.value:
                patterns.append(item)
            elif not (isinstance(item, Leaf) and item.value is None and item is include):
                hint = 'write include: ["conf.d/*.yaml"]'
                self.problems.append(Problem(item.place, "include must be a list of paths, directories or patterns", hint))
        return patterns

    def _matches(self, leaf: Leaf, directory: Path) -> list[Path]:
        pattern = os.path.join(directory, os.path.expanduser(str(leaf.value)))  # noqa: PTH111, PTH118 - patterns are not paths
        if not glob.has_magic(pattern) or os.path.lexists(pattern):
            path = Path(pattern)
            if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a directory above may not be searched
                return [path]  # one that is missing is reported when it is opened
            try:
                children = sorted(path.iterdir())
            except OSError as error:
                self.problems.append(_unreadable(_shown(path), leaf.place, error))
                return []
            found = [child for child in children if child.suffix in _SUFFIXES and not child.name.startswith(".")]
        else:
            found = sorted(Path(one) for one in glob.glob(pattern, recursive=True) if not os.path.isdir(one))  # noqa: PTH207, PTH112
        if not found:
            hint = "correct the pattern, or remove it"
            self.problems.append(Problem(leaf.place, f"include {leaf.value} matches no file", hint))
        return found

    def _text(self, path: Path, shown: str, place: Place) -> str | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold us up
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise IsADirectoryError(None, "not a regular file")
                content = file.read(LIMIT_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            self.problems.append(_unreadable(shown, place, error))
            return None
        if len(content) > LIMIT_FILE_BYTES:
            limit = LIMIT_FILE_BYTES // 1024 // 1024
            self.problems.append(Problem(place, f"{shown} is larger than {limit} MiB", "split it into several files"))
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = content[: error.start]
            line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
            where = Place(shown, line, column, path.parent)
            self.problems.append(Problem(where, "this is not UTF-8 text", "save the file as UTF-8"))
            return None


def _unreadable(shown: str, place: Place, error: OSError | ValueError) -> Problem:
    name = "the file" if place.source == shown else shown
    if isinstance(error, FileNotFoundError):
        hint = "create it, or name another with --config; dbre config schema prints every key"
        return Problem(place, f"{name} does not exist", hint)
    if isinstance(error, IsADirectoryError):
        return Problem(place, f"{name} is not a regular file", "name a file; directories may stand in include")
    if isinstance(error, PermissionError):
        return Problem(
            place, f"{name} may not be read by this user", "check the owner and mode of the file and its directories"
        )
    reason = error.strerror if isinstance(error, OSError) else "not a path"
    return Problem(place, f"{name} cannot be read: {reason}", "check the path")


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the working directory is gone
        return str(path)
