"""The reference page of the configuration is proved by the loader and the schema that it describes."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from dbre.app import sections
from dbre.core.config import file_schema, load

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SCHEMA = file_schema(sections())


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_page_loads_and_fits_the_schema(tmp_path: Path, example: str) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.yaml").write_text("x-nothing: 1\n")
    path = tmp_path / "dbre.yaml"
    path.write_text(example)
    load([path], sections=sections(), environment={}, flags={})
    assert list(Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(example))) == []


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_the_page_names_every_section_and_every_key_with_its_default() -> None:
    text = PAGE.read_text()
    missing = [key for key in SCHEMA["properties"] if key != "include" and f"\n## {key}\n" not in text]
    for name, shape in SCHEMA["$defs"].items():
        for key, value in shape.get("properties", {}).items():
            rows = [line for line in text.splitlines() if line.startswith(f"| `{key}` |")]
            default = value.get("default")
            wanted = str(default).lower() if isinstance(default, bool) else str(default)
            is_shown = isinstance(default, bool | int | str) and default != ""
            if not rows or (is_shown and not any(f"| `{wanted}` |" in row for row in rows)):
                missing.append(f"{name}.{key} = {default!r}")
    assert missing == []


def test_every_default_in_the_schema_fits_the_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for name, shape in SCHEMA["$defs"].items():
        for key, value in shape.get("properties", {}).items():
            if value.get("default") is not None:
                validator = Draft202012Validator({**value, "$defs": SCHEMA["$defs"]})
                assert list(validator.iter_errors(value["default"])) == [], f"{name}.{key}"
