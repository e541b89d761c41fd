"""The import contracts catch what they forbid: each forbidden line is put into a copy of the source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_house_stands(copy: Path) -> None:
    code, output = lint(copy)
    assert code == 0, output


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/clock.py", "import dbre.capabilities.slo", "A floor imports only what lies below it"),
        ("core/clock.py", "def late():\n    import dbre.engines.postgres", "A floor imports only what lies below it"),
        ("web/__init__.py", "import dbre.cli", "A floor imports only what lies below it"),
        ("capabilities/slo/__init__.py", "import dbre.capabilities.incident", "Capabilities do not know each other"),
        ("capabilities/observe/__init__.py", "import dbre.engines.postgres", "A capability gets an EngineRegistry"),
        ("engines/redis/__init__.py", "import dbre.engines.postgres", "Engines do not know each other"),
        ("lab/__init__.py", "import dbre.testing.clock", "Nothing that ships to production imports dbre.testing"),
        ("cli/__init__.py", "import fastapi", "Only the web floor and the control plane"),
        ("engines/postgres/__init__.py", "import sqlalchemy", "SQLAlchemy and Alembic"),
        ("capabilities/observe/__init__.py", "from psycopg import sql", "Only the PostgreSQL engine"),
        ("core/__init__.py", "import redis.asyncio", "Only the Redis engine"),
        ("core/__init__.py", "import asyncmy", "Only the MySQL engine"),
        ("core/__init__.py", "import typer", "Typer is for the command line"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / "src/dbre" / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    code, output = lint(copy)
    assert code == 1, output
    assert f"{contract}" in output.partition("Broken contracts")[2], output
