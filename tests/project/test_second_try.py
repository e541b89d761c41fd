"""What `make test` makes of a few failures: a second try alone, told whatever comes of it."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "second_try.py"
STEADY = "def test_steady():\n    pass\n"
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    seen = Path("seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError
"""
BROKEN = "import pytest\n\n@pytest.mark.parametrize('n', range({count}))\ndef test_broken(n):\n    assert False\n"


def _second_try(directory: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_them.py").write_text(STEADY + tests)
    (directory / "pytest.ini").write_text("[pytest]\n")
    first = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=directory, check=False, capture_output=True)
    assert first.returncode == (1 if tests else 0)
    return subprocess.run([sys.executable, SCRIPT], cwd=directory, check=False, capture_output=True, text=True)


def test_who_passes_alone_is_named_as_unsteady_and_fails_nothing(tmp_path: Path) -> None:
    ended = _second_try(tmp_path, UNSTEADY)
    assert ended.returncode == 0, ended.stdout
    assert "UNSTEADY test_them.py::test_unsteady: failed beside others, passed alone" in ended.stdout
    assert "1 passed" in ended.stdout  # the steady one is not run again


def test_who_fails_again_is_a_failure(tmp_path: Path) -> None:
    ended = _second_try(tmp_path, UNSTEADY + BROKEN.format(count=1))
    assert ended.returncode == 1
    assert "1 failed, 1 passed" in ended.stdout


def test_many_failures_are_no_accident_and_get_no_second_try(tmp_path: Path) -> None:
    ended = _second_try(tmp_path, BROKEN.format(count=6))
    assert ended.returncode == 1
    assert ended.stdout == ""


def test_without_failures_there_is_nothing_to_excuse(tmp_path: Path) -> None:
    assert _second_try(tmp_path, "").returncode == 1
