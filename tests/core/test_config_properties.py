import re

import yaml
from config_kit import SECTIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbre.core.config import ConfigInvalid, load

KEYS = st.sampled_from(
    ["include", "door", "objectives", "host", "port", "token", "timeout", "sli", "kind", "name", "target", "x-a", "on"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["latency", "1s", "99%", "env:X", "file:/x", "exec:'"]),
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(st.one_of(KEYS, SCALARS), below, max_size=4)),
    max_leaves=20,
)
MARKUP = st.text("abé:-#&*!|>'\"%@`{}[],?~ \n\t\r0123456789.\x00\x1b\ufeff\u2028", max_size=200)
RELAXED = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check(path, content: bytes) -> None:
    path.write_bytes(content)
    error = refusal([path])
    assert error is None or (
        error.problems and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", error.message)
    )


def refusal(files: list, **sources: dict) -> ConfigInvalid | None:
    """The only exception that may come out."""
    try:
        load(files, sections=SECTIONS, environment=sources.get("environment", {}), flags=sources.get("flags", {}))
    except ConfigInvalid as error:
        return error
    return None


@RELAXED
@given(text=MARKUP)
def test_any_text_is_read_or_refused_as_invalid(tmp_path, text: str) -> None:
    check(tmp_path / "dbre.yaml", text.encode())


@RELAXED
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_invalid(tmp_path, content: bytes) -> None:
    check(tmp_path / "dbre.yaml", content)


@RELAXED
@given(tree=st.dictionaries(KEYS, TREES, max_size=5))
def test_any_yaml_is_read_or_refused_as_invalid(tmp_path, tree: dict) -> None:
    check(tmp_path / "dbre.yaml", yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@RELAXED
@given(
    text=st.text(max_size=30),
    key=st.sampled_from(["DBRE_DOOR__PORT", "DBRE_DOOR__HOST", "DBRE_DOOR__A__B", "DBRE_X__Y", "DBRE___"]),
)
def test_any_variable_is_read_or_refused_as_invalid(text: str, key: str) -> None:
    error = refusal([], environment={key: text}, flags={"door.timeout": text})
    assert error is None or error.problems
