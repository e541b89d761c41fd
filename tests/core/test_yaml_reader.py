import time
from pathlib import Path

import pytest
import yaml
from config_kit import problems_of

from dbre.core.config import yaml_reader
from dbre.core.config.tree import plain
from dbre.core.config.yaml_reader import LIMIT_DEPTH, LIMIT_NODES, read_yaml


@pytest.fixture(autouse=True, params=[yaml.CSafeLoader, yaml.SafeLoader], ids=["libyaml", "python"])
def _both_parsers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "_LOADER", request.param)


def read(text: str) -> tuple[object, list[str]]:
    problems: list = []
    tree = read_yaml(text, source="f", directory=Path(), problems=problems)
    return (None if tree is None else plain(tree)), [str(problem) for problem in problems]


def test_reads_scalars_as_yaml_1_2_does() -> None:
    text = "a: text\nb: 12\nc: -1.5e3\nd: true\ne: null\nf: ~\ng:\nh: 'yes'\n"
    text += 'i: "012"\nj: |\n  two\n  lines\nk: 1.\nl: 10.0.0.1:5432\n'
    value, problems = read(text)
    assert problems == []
    assert value == {
        "a": "text", "b": 12, "c": -1500.0, "d": True, "e": None, "f": None, "g": None, "h": "yes", "i": "012",
        "j": "two\nlines\n", "k": 1.0, "l": "10.0.0.1:5432",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N"])
def test_boolean_words_are_refused_unquoted_and_taken_quoted(word: str) -> None:
    _, problems = read(f"a: {word}")
    assert len(problems) == 1
    assert problems[0].startswith(f"f:1:4: unquoted {word} is a boolean to some readers of YAML (write ")
    assert read(f"a: '{word}'") == ({"a": word}, [])


@pytest.mark.parametrize(
    "word",
    [
        *("0123", "-017", "0o17", "0x1F", "0b101", "1_000", "1_000.5"),
        *("1:30", "12:30:45", "190:20:30.15", "2026-11-21", "2026-11-21T10:00:00Z"),
        *(".inf", "-.INF", ".nan", "1e999", "9" * 41),
    ],
)
def test_what_readers_of_yaml_disagree_on_is_refused_without_repeating_it(word: str) -> None:
    _, problems = read(f"a: {word}")
    assert len(problems) == 1
    assert word not in problems[0]
    assert read(f'a: "{word}"') == ({"a": word}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "f:3:1: key 'a' is already given in line 1"),
        ("a: {b: 1, b: 2}", "f:1:11: key 'b' is already given in line 1"),
        ("1: a", "f:1:1: a key must be text"),
        ("? [a]\n: b", "f:1:3: a key must be text"),
        ("&x a: 1\n*x : 2", "f:2:1: a key must be text"),
        ("<<: {a: 1}", "f:1:1: merge keys are not supported"),
        ("a: !!python/object:os.system {}", "f:1:4: YAML tags are not supported"),
        ("a: !hunter2 x", "f:1:4: YAML tags are not supported"),
        ("a: *hunter2", "f:1:4: no anchor of that name stands above"),
        ("a: &x [*x]", "f:1:8: no anchor of that name stands above"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document begins here"),
        ("a:\n\t- b", "f:2:1: not valid YAML"),
        ("a: 'never closed\nb: 1", "f:1:4: not valid YAML"),
        ("a: [1, 2", "f:1:4: not valid YAML"),
        ("a: b\n c: d", "f:2:3: not valid YAML: mapping values are not allowed"),
        ("a: %hunter2", "f:1:4: not valid YAML"),
        ("a: @hunter2", "f:1:4: not valid YAML"),
        ("a: b\x07", "f:1:5: character U+0007 is not allowed"),
        ("a: b\u202ec", "f:1:5: character U+202E is not allowed"),
        ('a: "\\0"', "f:1:4: text holds the character U+0000"),
        ('a: "\\ud800"', "f:1:"),
        ("a: " + "[" * 1000, "f:1:35: nested deeper than 32 levels"),
    ],
)
def test_refuses_with_place_and_without_the_text(text: str, expected: str) -> None:
    _, problems = read(text)
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    assert "hunter2" not in problems[0]


def test_aliases_and_quoted_text_with_specials_are_read() -> None:
    value, problems = read("x-a: &a {b: [1]}\nc: *a\nd: 'yes: #no'\n")
    assert (value, problems) == ({"x-a": {"b": [1]}, "c": {"b": [1]}, "d": "yes: #no"}, [])


def test_billion_laughs_end_early() -> None:
    lines = ["a: &a [" + ",".join("x" * 9) + "]"]
    for name, below in zip("bcdefghi", "abcdefgh", strict=True):
        lines.append(f"{name}: &{name} [" + ",".join([f"*{below}"] * 9) + "]")
    began = time.process_time()
    _, problems = read("\n".join(lines))
    assert f"more than {LIMIT_NODES} values" in problems[0]
    assert time.process_time() - began < 1.0


def test_depth_counts_through_aliases() -> None:
    half = LIMIT_DEPTH // 2 + 2
    _, problems = read(f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}")
    assert problems == [f"f:2:{half + 4}: nested deeper than {LIMIT_DEPTH} levels"]


def test_deepest_allowed_nesting_is_read_and_validated(tmp_path: Path) -> None:
    depth = LIMIT_DEPTH - 1
    assert problems_of(tmp_path, f"x-deep: {'[' * depth}{']' * depth}") == []
