import json
from pathlib import Path

import pytest
from config_kit import SECTIONS, load_text
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dbre.core.config import document_text, file_schema, section_schema


def test_the_schema_is_valid_and_agrees_with_the_loader() -> None:
    schema = file_schema(SECTIONS)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = {
        "include": ["a.yaml"],
        "door": {"port": 80, "token": "env:X", "timeout": "1h30m", "cache": "64MiB"},
        "objectives": [{"name": "a", "sli": {"kind": "latency", "threshold": "1s"}, "target": 0.99}],
        "x-anchors": {"anything": 1},
    }
    assert list(validator.iter_errors(good)) == []
    for bad in (
        {"dor": {}},
        {"door": {"prot": 1}},
        {"door": {"port": 0}},
        {"door": {"token": "hunter2"}},
        {"door": {"timeout": 5}},
        {"objectives": [{"name": "a b", "sli": {"kind": "latency", "threshold": "1s"}, "target": 0.99}]},
        {"objectives": [{"name": "a", "sli": {"kind": "latency"}, "target": 0.99}]},
    ):
        assert list(validator.iter_errors(bad)), bad
    assert schema["properties"]["door"]["description"] == "Where callers knock."


def test_the_schema_of_one_section_stands_alone() -> None:
    schema = section_schema(SECTIONS[1])
    Draft202012Validator.check_schema(schema)
    assert schema["description"] == "What is promised."
    assert list(Draft202012Validator(schema).iter_errors([{"name": 1}]))


@pytest.mark.parametrize(
    "word", ["yes", "y", "012", "1:30", "2026-01-01", "null", "", " a", "a: b", "#x", "é", "a\nb", "0o7", "1_0", "-"]
)
def test_written_text_reads_back_as_text(tmp_path: Path, word: str) -> None:
    config = load_text(tmp_path, document_text({"door": {"host": word}}))
    assert config.get(SECTIONS[0]).host == word


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cf", "Cn")), max_size=40)


@given(host=TEXT, port=st.integers(1, 65_535), ratio=st.floats(allow_nan=False, allow_infinity=False), is_open=st.booleans())
def test_the_effective_configuration_reads_back_to_itself(
    tmp_path_factory: pytest.TempPathFactory, host: str, port: int, ratio: float, is_open: bool
) -> None:
    directory = tmp_path_factory.mktemp("config")
    first = load_text(
        directory, json.dumps({"door": {"host": host, "port": port, "ratio": ratio, "is_open": is_open}}, ensure_ascii=False)
    )
    second = load_text(directory, document_text(first.document()))
    assert second.document() == first.document()
    assert second.get(SECTIONS[0]).host == host
