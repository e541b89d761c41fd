"""The JSON Schema of ``dbre.yaml``, and what it says about one place in a document."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import PydanticSerializationError, SchemaError, SchemaSerializer, core_schema

from dbre.core.config.section import Section

__all__ = ["file_schema", "known_keys", "section_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Writes defaults as a file would have them: ``10s``, not ``PT10S``."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        """Pydantic's own, with the default written by the serializer of its type."""
        result = super().default_schema(schema)
        if "default" in result and schema.get("default") is not None:
            # A type that is defined elsewhere cannot be serialized by itself; those have no types of ours.
            with contextlib.suppress(SchemaError, PydanticSerializationError):
                result["default"] = SchemaSerializer(schema["schema"]).to_python(schema["default"], mode="json")
        return result


def section_schema(section: Section[Any]) -> dict[str, Any]:
    """The schema of one section, by itself."""
    schema = TypeAdapter(section.shape).json_schema(schema_generator=_Generator)
    return {"$schema": DIALECT, "description": section.summary, **schema}


def file_schema(sections: Sequence[Section[Any]]) -> dict[str, Any]:
    """The schema of a whole file (draft 2020-12), for editors and for checks elsewhere."""
    mode: JsonSchemaMode = "validation"
    inputs = [(section.key, mode, TypeAdapter(section.shape).core_schema) for section in sections]
    refs, definitions = _Generator().generate_definitions(inputs)
    properties: dict[str, Any] = {
        "include": {
            "description": "More files: paths, directories (*.yaml, *.yml) and patterns; relative to this file.",
            "anyOf": [{"type": "array", "items": {"type": "string", "minLength": 1}}, {"type": "string", "minLength": 1}],
            "examples": [["conf.d/*.yaml"]],
        }
    }
    for section in sections:
        shape = refs[(section.key, mode)]
        properties[section.key] = {**shape, "description": section.summary}
    return {
        "$schema": DIALECT,
        "title": "dbre.yaml",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Ignored: a place for anchors."}},
        "additionalProperties": False,
        "$defs": definitions,
    }


def known_keys(schema: Mapping[str, Any], path: Sequence[object]) -> set[str]:
    """The keys that a mapping at ``path`` may have; the path may hold tags of unions, as pydantic's error locations do.

    Empty where the schema does not say.
    """
    found: set[str] = set()
    nodes = list(_alternatives(schema, schema))
    for part in path:
        below = [child for node in nodes for child in _children(schema, node, part)]
        nodes = below or nodes  # a tag of a union: stay
    for node in nodes:
        found.update(node.get("properties", {}))
    return found


def _alternatives(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in node:
        yield from _alternatives(schema, schema["$defs"][node["$ref"].removeprefix("#/$defs/")])
        return
    yield node
    for word in ("anyOf", "oneOf", "allOf"):
        for one in node.get(word, ()):
            yield from _alternatives(schema, one)


def _children(schema: Mapping[str, Any], node: Mapping[str, Any], part: object) -> Iterator[Mapping[str, Any]]:
    properties = node.get("properties", {})
    tagged = node.get("discriminator", {}).get("mapping", {})
    if part in properties:
        yield from _alternatives(schema, properties[part])
    elif part in tagged:
        yield from _alternatives(schema, {"$ref": tagged[part]})
    elif isinstance(part, int) and isinstance(node.get("items"), dict):
        yield from _alternatives(schema, node["items"])
    elif isinstance(node.get("additionalProperties"), dict):
        yield from _alternatives(schema, node["additionalProperties"])
