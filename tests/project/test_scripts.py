"""The Makefile is thin, and the scripts behind it run anywhere a POSIX shell does."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = (
    "setup",
    "demo",
    "test",
    "test-fast",
    "test-orchestrators",
    "test-kafka",
    "test-s3",
    "test-peers",
    "check",
    "fix",
    "bench",
    "soak",
    "docs",
)
SHELL_SCRIPTS = sorted(
    path
    for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci/run"]
    if path.is_file() and path.read_bytes().startswith(b"#!/")
)


def test_there_is_a_target_for_every_script_and_a_script_for_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    helped = re.findall(r"^([a-z0-9-]+):.*## \S", text, flags=re.MULTILINE)
    assert sorted(helped) == sorted((*TARGETS, "help"))
    for target in TARGETS:
        assert f"scripts/{target}" in text
        assert os.access(ROOT / "scripts" / target, os.X_OK), f"scripts/{target} is missing or not executable"


def test_make_without_a_target_shows_the_list() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed (Debian: apt-get install make); the scripts run without it")
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["help", *TARGETS]


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_executable_says_what_it_does_and_parses(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)
    assert lines[1].startswith("# "), "the second line says what the script does"
    shell = "bash" if "bash" in lines[0] else "sh"
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the bootstrap in it."""
    (tmp_path / "scripts").mkdir()
    for name in ("bootstrap", "uv.txt"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    return tmp_path


def bootstrap(checkout: Path, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(checkout / "scripts/bootstrap"), "demo"],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def tools(folder: Path, **programs: str) -> Path:
    """A PATH with what every Debian has, without apt-get, and with the given scripts."""
    folder.mkdir()
    for name in ("cut", "dirname", "flock", "id", "mkdir", "sed", "sh"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_without_python_the_one_command_is_named(checkout: Path, tmp_path: Path) -> None:
    done = bootstrap(checkout, tools(tmp_path / "bin"))
    assert done.returncode == 1
    assert "there is no python3 on PATH" in done.stderr
    assert "run: sudo apt-get install -y python3 python3-venv" in done.stderr


def test_without_the_venv_module_the_one_command_is_named(checkout: Path, tmp_path: Path) -> None:
    python = 'case "$2" in *ensurepip*) exit 1 ;; *) echo 3.11 ;; esac'
    done = bootstrap(checkout, tools(tmp_path / "bin", python3=python))
    assert done.returncode == 1
    assert "its venv package is missing" in done.stderr
    assert "run: sudo apt-get install -y python3-venv" in done.stderr


def test_a_python_that_is_too_old_is_named(checkout: Path, tmp_path: Path) -> None:
    python = 'case "$2" in *ensurepip*) exit 1 ;; *) echo 3.7 ;; esac'
    done = bootstrap(checkout, tools(tmp_path / "bin", python3=python))
    assert done.returncode == 1
    assert "python3 is 3.7, too old" in done.stderr


def test_what_the_environment_says_about_places_is_not_handed_on(checkout: Path, tmp_path: Path) -> None:
    """A uv of the pinned version is there already, so that only ``uv sync`` is called, with a home inside the checkout."""
    version = re.match(r"uv==(\S+)", (checkout / "scripts/uv.txt").read_text(encoding="utf-8")).group(1)
    tools(checkout / ".uv").joinpath("bin").mkdir()
    uv = checkout / ".uv/bin/uv"
    uv.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "uv {version}"; else echo "$@"; export -p; fi\n', encoding="utf-8"
    )
    uv.chmod(0o755)
    done = bootstrap(
        checkout,
        tools(tmp_path / "bin"),
        UV_PROJECT_ENVIRONMENT="/elsewhere",
        UV_INDEX_URL="https://nowhere.invalid",
        PIP_USER="1",
        PYTHONPATH="/elsewhere",
        VIRTUAL_ENV="/elsewhere",
        HTTPS_PROXY="http://proxy.invalid",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sync --quiet --locked --python ")
    for name in ("UV_PROJECT_ENVIRONMENT", "UV_INDEX_URL", "PIP_USER", "PYTHONPATH", "VIRTUAL_ENV"):
        assert f"{name}=" not in done.stdout
    assert "HTTPS_PROXY=" in done.stdout
    assert f"HOME='{checkout}/.uv/home'" in done.stdout
