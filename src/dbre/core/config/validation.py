"""From a tree to a document: pydantic judges, and each of its verdicts is brought back to the place in the file."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dbre.core.config.problems import Place, Problem
from dbre.core.config.schema import known_keys
from dbre.core.config.section import Section
from dbre.core.config.tree import Branch, Leaf, Listing, Node, Reported, plain, step
from dbre.core.errors import DbreError
from dbre.core.text import closest

__all__ = ["validate"]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "keys with values",
    "mapping_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dataclass_type": "keys with values",
    "none_required": "nothing",
}

_BOUNDS = {
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "string_pattern_mismatch": "text that fits {pattern}",
}
_ONE_OF = "one of "
_PREFIX = re.compile(r"^(Value error, |Assertion failed, )?(Input should (be )?)?")


def validate(section: Section[Any], node: Node, *, problems: list[Problem]) -> Any:
    """The document of a section, or its default where the tree has problems (they are noted)."""
    adapter: TypeAdapter[Any] = TypeAdapter(section.shape)
    reported = {(problem.place.source, problem.place.line, problem.place.column) for problem in problems}
    found = list(_faults(section, node))
    try:
        # JSON mode is strict about types but takes lists for tuples and text for enums, as a file has them. What
        # passed is read again in Python mode, where text knows its directory (`PlacedText`).
        _strict(adapter, node)
        document = adapter.validate_python(plain(node, placed=True))
    except ValidationError as error:
        found += _explain(section, adapter, node, error)
    except DbreError as error:
        found.append(Problem(node.place, f"{section.key}: {error.message}", error.hint))
    else:
        if not found:
            return document
    problems += [
        one for one in found if (one.place.source, one.place.line, one.place.column) not in reported or one.place.line is None
    ]
    return None


def _strict(adapter: TypeAdapter[Any], node: Node) -> None:
    try:
        adapter.validate_json(json.dumps(plain(node)), strict=True)
    except ValidationError as error:
        if not _use_raw_text(node, error):
            raise
        adapter.validate_json(json.dumps(plain(node)), strict=True)


def _use_raw_text(node: Node, error: ValidationError) -> bool:
    """Where a variable or flag was taken for a number and something else is expected, take its text. True if any changed."""
    changed = False
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        leaf, _ = _locate(node, detail["loc"])
        if isinstance(leaf, Leaf) and leaf.raw is not None and leaf.value != leaf.raw:
            leaf.value, changed = leaf.raw, True
    return changed


def _faults(section: Section[Any], node: Node) -> Iterator[Problem]:
    for fault in section.faults(plain(node)):
        target, _ = _locate(node, fault.path)
        yield Problem(target.place, f"{_name(section, fault.path)}: {fault.message}", fault.hint)


def _locate(node: Node, path: Sequence[object]) -> tuple[Node, list[str | int]]:
    """The deepest node on the path, and the parts that led there: tags of unions are no part of the file."""
    way: list[str | int] = []
    for part in path:
        child = step(node, part)
        if child is not None and isinstance(part, str | int):
            node = child
            way.append(part)
    return node, way


def _explain(section: Section[Any], adapter: TypeAdapter[Any], root: Node, error: ValidationError) -> Iterator[Problem]:
    schema = adapter.json_schema()
    wanted: dict[tuple[str | int, ...], tuple[Place, list[str]]] = {}  # one line for all branches of a union
    for detail in error.errors(include_url=False, include_input=False):
        node, way = _locate(root, detail["loc"])
        if isinstance(node, Leaf) and isinstance(node.value, Reported):
            continue
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "too_short" and isinstance(node, Listing) and len(node.items) >= context["min_length"]:
            continue  # pydantic counts the items that are right; the others have problems of their own
        last = detail["loc"][-1] if detail["loc"] else ""
        if kind == "extra_forbidden":
            yield _unknown_key(section, schema, root, detail["loc"])
        elif kind == "missing":
            yield Problem(_named_place(root, way), f"{_name(section, (*way, str(last)))} is missing", None)
        elif kind == "union_tag_not_found" and isinstance(node, Branch):
            tag = str(context["discriminator"]).strip("'")
            yield Problem(_named_place(root, way), f"{_name(section, (*way, tag))} is missing", None)
        elif isinstance(cause := context.get("error"), DbreError):
            yield Problem(node.place, f"{_name(section, way)}: {cause.message}", cause.hint)
        else:
            if kind == "union_tag_invalid":
                node, way = _locate(root, (*way, str(context["discriminator"]).strip("'")))
            words = wanted.setdefault(tuple(way), (node.place, []))[1]
            words.append(_wish(kind, detail["msg"], context))
    for path, (place, words) in wanted.items():
        node = _locate(root, path)[0]
        actual = _actual(node)
        advice = _advice(words, actual) or _near(words, node)
        yield Problem(place, f"{_name(section, path)}: expected {' or '.join(dict.fromkeys(words))}, got {actual}", advice)


def _wish(kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in ("enum", "literal_error"):
        return _ONE_OF + str(context.get("expected", "")).replace(" or ", ", ").replace("'", "")
    if kind == "union_tag_invalid":
        return f"{_ONE_OF}{context['expected_tags']}".replace("'", "")
    if kind in _BOUNDS:
        return _BOUNDS[kind].format_map(context)
    return _PREFIX.sub("", message)


def _actual(node: Node) -> str:
    if isinstance(node, Branch):
        return "keys with values"
    if isinstance(node, Listing):
        return "a list" if node.items else "an empty list"
    if node.value is None:
        return "nothing"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(type(node.value), "other text")


def _advice(words: Sequence[str], actual: str) -> str | None:
    if "text" in words and actual in ("a whole number", "a number", "true or false"):
        return "put it in quotes"
    return None


def _near(words: Sequence[str], node: Node) -> str | None:
    """The choice that was probably meant. What was written is not repeated: it may be a secret."""
    choices = [choice for word in words if word.startswith(_ONE_OF) for choice in word.removeprefix(_ONE_OF).split(", ")]
    written = node.value if isinstance(node, Leaf) else None
    near = closest(written, choices) if choices and isinstance(written, str) else None
    return f"did you mean {near}?" if near else None


def _unknown_key(section: Section[Any], schema: Mapping[str, Any], root: Node, location: Sequence[str | int]) -> Problem:
    parent, way = _locate(root, location[:-1])
    key = str(location[-1])
    known = known_keys(schema, location[:-1])
    near = closest(key, known)
    place = parent.keys.get(key, parent.place) if isinstance(parent, Branch) else parent.place
    hint = f"did you mean {near}?" if near else f"known keys: {', '.join(sorted(known))}" if known else None
    return Problem(place, f"{_name(section, way)}: unknown key {key!r}", hint)


def _named_place(root: Node, way: Sequence[str | int]) -> Place:
    """The place of the key under which a mapping stands, which is where a reader looks for what it lacks."""
    if not way:
        return root.place
    parent, _ = _locate(root, way[:-1])
    if isinstance(parent, Branch) and isinstance(way[-1], str):
        return parent.keys.get(way[-1], parent.place)
    return _locate(root, way)[0].place


def _name(section: Section[Any], path: Sequence[str | int]) -> str:
    return section.key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
