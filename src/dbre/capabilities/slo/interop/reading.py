"""Files of other tools as trees with places: many documents in a file, lists of objects, unquoted dates."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dbre.capabilities.slo.interop.model import ForeignObject
from dbre.core.config.problems import Place, Problem
from dbre.core.config.tree import Branch, Leaf, Listing, Node
from dbre.core.config.yaml_reader import read_yaml
from dbre.core.text import closest

__all__ = ["DIALECTS", "objects_of", "read_objects"]

LIMIT_BYTES = 16 * 1024 * 1024
_MARKER = re.compile(r"^(---|\.\.\.)(?=\s|$)")
_OPENSLO = ("openslo/v1", "openslo/v1alpha", "openslo.com/v2alpha", "openslo.com/v2alpha1")
_SLOTH = "sloth.slok.dev/v1"
_PYRRA = "pyrra.dev/v1alpha1"
DIALECTS = (*_OPENSLO[:3], "prometheus/v1", _SLOTH, _PYRRA)
_PLAIN = {"availability", "latency_p95_ms", "latency_p99_ms", "freshness_minutes"}


def read_objects(path: Path, problems: list[Problem]) -> list[ForeignObject]:
    """The objects of one file; whatever cannot be read goes to ``problems``."""
    place = Place(str(path))
    try:
        content = _content(path)
    except OSError as error:
        problems.append(Problem(place, f"the file cannot be read: {error.strerror or type(error).__name__}"))
        return []
    if len(content) > LIMIT_BYTES:
        problems.append(Problem(place, f"the file is larger than {LIMIT_BYTES // 2**20} MiB", "give it in several files"))
        return []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem(place, "the file is not UTF-8 text", "save it as UTF-8"))
        return []
    return objects_of(text, source=str(path), directory=path.parent, problems=problems)


def _content(path: Path) -> bytes:
    """At most a byte more than the limit, whatever it is: devices have no size, and a FIFO that nobody writes to is empty."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)


def objects_of(text: str, *, source: str, directory: Path, problems: list[Problem]) -> list[ForeignObject]:
    """The objects of a text of one or many YAML documents (JSON is YAML)."""
    found = []
    for part in _documents(text):
        node = read_yaml(part, source=source, directory=directory, problems=problems, is_foreign=True)
        items = _items(node, problems) if node is not None else ()
        found += [kind for one in items if (kind := _classified(one, problems)) is not None]
    return found


def _documents(text: str) -> Iterator[str]:
    """Each document behind as many empty lines as stand above it, so that lines keep their numbers.

    A marker at the beginning of a line ends a document wherever it stands, quoted text included (YAML 1.2.2, 9.1.1).
    """
    lines: list[str] = []
    above = 0
    for number, line in enumerate(text.splitlines(keepends=True)):
        if _MARKER.match(line):
            yield "\n" * above + "".join(lines)
            above, lines = number, ["   " + line[3:] if line.startswith("---") else "\n"]
        elif not (line.startswith("%") and not "".join(lines).strip()):
            lines.append(line)
        else:
            lines.append("\n")  # a directive
    yield "\n" * above + "".join(lines)


def _items(node: Node, problems: list[Problem]) -> Iterator[Branch]:
    if isinstance(node, Listing):
        for one in node.items:
            yield from _items(one, problems)
    elif isinstance(node, Branch):
        if _text(node, "kind") == "List" and isinstance(below := node.entries.get("items"), Listing):
            yield from _items(below, problems)
        else:
            yield node
    elif node.value is not None:
        problems.append(Problem(node.place, "an SLO is written as keys with values", "see docs/reference/slo-files"))


def _text(node: Branch, key: str) -> str:
    leaf = node.entries.get(key)
    return leaf.value if isinstance(leaf, Leaf) and isinstance(leaf.value, str) else ""


def _classified(node: Branch, problems: list[Problem]) -> ForeignObject | None:
    api, kind, version = _text(node, "apiVersion"), _text(node, "kind"), _text(node, "version")
    if api in _OPENSLO:
        return ForeignObject(node, "openslo.com/v2alpha" if api.endswith("v2alpha1") else api, kind)
    if (api, kind) == (_SLOTH, "PrometheusServiceLevel"):
        return ForeignObject(node, "sloth-kubernetes", kind)
    if (api, kind) == (_PYRRA, "ServiceLevelObjective"):
        return ForeignObject(node, "pyrra", kind)
    if version == "prometheus/v1":
        return ForeignObject(node, "sloth", "")
    if "slos" in node.entries and not api and not version:
        return ForeignObject(node, "dbre", "")
    if _PLAIN & node.entries.keys() or "slo" in node.entries:
        return ForeignObject(node, "plain", "")
    problems.append(_unknown(node, api, kind, version))
    return None


def _unknown(node: Branch, api: str, kind: str, version: str) -> Problem:
    given = api or version
    key = "apiVersion" if api else "version"
    place = node.keys.get(key, node.place)
    known = "apiVersion openslo/v1, openslo/v1alpha, openslo.com/v2alpha, pyrra.dev/v1alpha1; version prometheus/v1; or slos"
    if not given:
        return Problem(place, "nothing here tells which tool wrote it", f"expected {known}")
    if api in (_SLOTH, _PYRRA):
        return Problem(node.keys.get("kind", place), f"{kind or 'an object without kind'} of {api} is no SLO")
    near = closest(given, DIALECTS)
    return Problem(place, f"{key} {given!r} is not known", f"did you mean {near}?" if near else f"expected {known}")
