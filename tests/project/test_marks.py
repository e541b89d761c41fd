"""The marks script finds what it is meant to find."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def marks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("marks", ROOT / "scripts/marks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["marks"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def sources(marks: ModuleType, root: Path, **files: str) -> list:
    for name, text in files.items():
        path = root / "src" / "dbre" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return marks.read_sources(root)


def mark(found: list, name: str):
    return next(one for one in found if one.name == name)


def test_a_file_of_601_lines_is_named(marks: ModuleType, tmp_path: Path) -> None:
    found = marks.file_lengths(sources(marks, tmp_path, short='"""Short."""\n', long='"""Long."""\n' + "x = 1\n" * 600))
    assert mark(found, "longest file").is_met is False
    assert mark(found, "longest file").offenders == ["src/dbre/long.py: 601 lines"]


def test_a_file_of_600_lines_passes_but_its_median_does_not(marks: ModuleType, tmp_path: Path) -> None:
    found = marks.file_lengths(sources(marks, tmp_path, long='"""Long."""\n' + "x = 1\n" * 599))
    assert mark(found, "longest file").is_met is True
    assert mark(found, "median file in src/").is_met is False


@pytest.mark.parametrize(("lines", "is_met"), [(59, True), (60, False)])
def test_a_function_under_60_lines_is_short(marks: ModuleType, tmp_path: Path, lines: int, is_met: bool) -> None:
    text = '"""A function."""\n\n\ndef work() -> None:\n' + "    x = 1\n" * (lines - 1)
    assert marks.function_lengths(sources(marks, tmp_path, work=text)).is_met is is_met


def test_one_long_function_in_a_hundred_is_allowed(marks: ModuleType, tmp_path: Path) -> None:
    short = "".join(f"def work{number}() -> None:\n    pass\n" for number in range(99))
    found = marks.function_lengths(sources(marks, tmp_path, work=short + "def long() -> None:\n" + "    x = 1\n" * 80))
    assert found.is_met is True
    assert found.offenders == ["src/dbre/work.py:199: long has 81 lines"]


@pytest.mark.parametrize(
    ("text", "undocumented"),
    [
        ("x = 1\n", ["src/dbre/case.py: module"]),
        ('"""M."""\nclass Thing:\n    pass\n', ["src/dbre/case.py:2: Thing"]),
        ('"""M."""\nclass Thing:\n    """T."""\n    def act(self) -> None:\n        pass\n', ["src/dbre/case.py:4: Thing.act"]),
        ('"""M."""\nif True:\n    async def act() -> None:\n        pass\n', ["src/dbre/case.py:3: act"]),
        ('"""M."""\nclass _Thing:\n    def act(self) -> None:\n        pass\n', []),
        ('"""M."""\ndef act() -> None:\n    """A."""\n    def inner():\n        pass\n', []),
        ('"""M."""\nclass Thing:\n    """T."""\n    def __len__(self) -> int:\n        return 0\n', []),
        ("", []),  # an empty __init__.py has nothing to say
    ],
)
def test_every_public_name_wants_a_docstring(marks: ModuleType, tmp_path: Path, text: str, undocumented: list[str]) -> None:
    documented, _ = marks.public_names(sources(marks, tmp_path, case=text))
    assert documented.offenders == undocumented


def test_two_modules_of_tests_with_one_name_are_told(marks: ModuleType, tmp_path: Path) -> None:
    for name in ("tests/a/kit.py", "tests/b/kit.py", "tests/a/conftest.py", "tests/b/conftest.py", "src/dbre/kit.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('"""A module."""\n', encoding="utf-8")
    found = marks.test_modules(marks.read_sources(tmp_path))
    assert (found.is_met, found.offenders) == (False, ["tests/b/kit.py: as tests/a/kit.py"])


@pytest.mark.parametrize(
    ("signature", "missing"),
    [
        ("a: int, *, b: str", None),
        ("a, *, b: str", "a"),
        ("*args, **kwargs: int", "args"),
        ("a: int, /, b", "b"),
    ],
)
def test_every_parameter_wants_an_annotation(marks: ModuleType, tmp_path: Path, signature: str, missing: str | None) -> None:
    text = f'"""M."""\ndef act({signature}) -> None:\n    """A."""\n'
    _, annotated = marks.public_names(sources(marks, tmp_path, case=text))
    assert annotated.offenders == ([f"src/dbre/case.py:2: act ({missing})"] if missing else [])


def test_a_missing_return_annotation_is_named(marks: ModuleType, tmp_path: Path) -> None:
    text = '"""M."""\nclass Thing:\n    """T."""\n    def act(self):\n        """A."""\n'
    _, annotated = marks.public_names(sources(marks, tmp_path, case=text))
    assert annotated.offenders == ["src/dbre/case.py:4: Thing.act (return)"]


def test_cycles_are_found_as_groups(marks: ModuleType) -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"f"}, "f": {"e"}}
    assert marks.cycles(imports) == [["a", "b", "c"], ["e", "f"]]


def test_a_tree_has_no_cycle(marks: ModuleType) -> None:
    assert marks.cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_inside_functions_are_seen(marks: ModuleType) -> None:
    imports = marks.read_imports(ROOT)
    assert "dbre.core.config" in imports["dbre.app"], "dbre.app imports the configuration inside a function only"
