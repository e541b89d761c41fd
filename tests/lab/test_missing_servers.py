"""Where a server is not installed its tests are skipped with the package's name, and fail where all are required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
pytest_plugins = ["dbre.testing.fixtures"]

async def test_needs_redis(redis_server):
    assert redis_server.is_running
"""

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
"""


def outcome(directory: Path, **variables: str) -> str:
    (directory / "test_suite.py").write_text(SUITE)
    (directory / "pytest.ini").write_text(SETTINGS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DBRE_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", directory],
        cwd=directory,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.stdout


def test_a_missing_server_skips_and_names_its_package(tmp_path: Path) -> None:
    said = outcome(tmp_path, PATH="/nonexistent")
    assert "1 skipped" in said
    assert "no redis-server or valkey-server here; install it: scripts/install-test-servers (apt: redis-server)" in said


def test_a_missing_server_fails_where_all_are_required(tmp_path: Path) -> None:
    said = outcome(tmp_path, PATH="/nonexistent", DBRE_REQUIRE_ALL="1")
    assert "1 error" in said
    assert "DBRE_REQUIRE_ALL=1: no redis-server or valkey-server here" in said


def test_an_installed_server_is_used(tmp_path: Path, redis_server: object) -> None:
    assert "1 passed" in outcome(tmp_path)


@pytest.mark.parametrize("name", ["postgres15", "postgres16", "postgres18", "mariadb", "redis_server", "fresh_postgres"])
def test_every_fixture_gives_what_tests_rely_on(name: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(name)
    access = server.access(user="somebody", database="something")
    assert (access.address, access.user, access.database) == (server.address, "somebody", "something")
    assert server.access().user == server.superuser
    assert server.access().password == server.password
    assert server.password.reveal() not in repr(server.access())
