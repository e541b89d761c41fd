"""``scripts/install-test-servers``: says what it leaves out, changes nothing it was not asked to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-test-servers"


def run(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": path} if path is not None else {})}
    return subprocess.run(
        [shutil.which("bash") or "bash", SCRIPT, *words], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A machine with a shell and no package manager, browser or server on its path."""
    for name in ("grep", "id", "sed", "tail", "rm", "mktemp"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


def test_every_wanted_package_is_present_or_left_out_with_a_reason() -> None:
    done = run("--dry-run")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("present: ", "left out: "))]
    packages = {line.split()[1] if line.startswith("present") else line.split()[2] for line in lines}
    assert packages == {
        "postgresql",
        "mariadb-server",
        "redis-server",
        "rabbitmq-server",
        "prometheus",
        "prometheus-alertmanager",
        "victoria-metrics",
        "nats-server",
        "pgbackrest",
        "barman",
        "mariadb-backup",
        "openssh-server",
        "etcd-server",
        "haproxy",
        "pgbouncer",
        "bind9",
        "libnginx-mod-stream",
        "chromium",
        "zsh",
        "fish",
        "nftables",
        "iproute2",
        "libfaketime",
    }
    assert all("(" in line for line in lines)


def test_a_machine_without_apt_is_told_so_and_goes_on(bare_path: str) -> None:
    done = run(path=bare_path)
    assert done.returncode == 0, done.stderr
    assert "left out: chromium (no apt-get here" in done.stdout
    assert "the tests that need them are skipped, unless DBRE_REQUIRE_ALL=1" in done.stdout


def test_strict_fails_when_anything_is_left_out(bare_path: str) -> None:
    assert run("--strict", path=bare_path).returncode == 1


def test_an_unknown_flag_is_refused() -> None:
    done = run("--frob")
    assert done.returncode == 2
    assert "unknown argument --frob" in done.stderr


def test_help_is_the_text_at_its_top() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Install the database servers")
    assert "--strict" in done.stdout
