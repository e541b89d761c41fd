"""JSON, JSON lines, YAML and CSV."""

import csv
import io
import json
import sys
from datetime import UTC, datetime

import yaml

from dbre.cli.render.values import as_json_value, as_words
from dbre.core.text import HIDDEN, printable
from dbre.core.view import View

__all__ = ["as_csv", "as_json", "as_jsonl", "as_yaml", "document", "json_text"]

API_VERSION = "dbre/v1"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def document(view: View) -> dict[str, object]:
    """The document that ``-o json`` prints: ``{api_version, kind, generated_at, items | item, partial, errors}``."""
    head: dict[str, object] = {"api_version": API_VERSION, "kind": view.kind, "generated_at": as_json_value(datetime.now(UTC))}
    body = {"item": as_json_value(view.items[0])} if view.single else {"items": as_json_value(list(view.items))}
    return head | body | {"partial": bool(view.errors), "errors": [as_json_value(one.as_document()) for one in view.errors]}


def json_text(value: object, *, indent: int | None = None) -> str:
    r"""A JSON value as text; what a terminal obeys, or cannot be encoded, is written ``\u009b``: the same value, harmless."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    return HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def as_json(view: View) -> str:
    """One indented JSON document."""
    return json_text(document(view), indent=2) + "\n"


def as_jsonl(view: View) -> str:
    """One compact JSON object a line and item."""
    return "".join(json_text(as_json_value(item)) + "\n" for item in view.items)


def as_yaml(view: View) -> str:
    """The same document as JSON, in YAML."""
    text = str(yaml.safe_dump(document(view), sort_keys=False, allow_unicode=True))
    is_hidden = HIDDEN.search(text.replace("\n", ""))  # YAML takes some for printable, and cannot escape them one by one
    return str(yaml.safe_dump(document(view), sort_keys=False)) if is_hidden else text


def as_csv(view: View) -> str:
    """A header and one line an item; texts that a spreadsheet would run as a formula get a leading apostrophe."""
    buffer = io.StringIO()
    keys = [column.key for column in view.columns] or list(view.items[0] if view.items else ())
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(keys)
    for item in view.items:
        writer.writerow([_cell(item.get(key)) for key in keys])
    return buffer.getvalue()


def _cell(value: object) -> str:
    plain = as_json_value(value)
    if plain is None:
        return ""
    if isinstance(plain, bool | int | float):
        return str(plain).lower() if isinstance(plain, bool) else str(plain)
    text = as_words(plain) if isinstance(plain, dict | list) else printable(str(plain), limit=sys.maxsize)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
