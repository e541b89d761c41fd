"""What tests of the lab share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbre.lab.destruction import destroy
from dbre.lab.guardian import Guardian


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    """A guardian of its own, so that a failing test leaves nothing."""
    one = Guardian()
    yield one
    one.close()


@pytest.fixture
def open_directory(guardian: Guardian) -> Iterator[Path]:
    """A directory that other accounts may pass through, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="dbre-test-lab-"))
    directory.chmod(0o711)
    guardian.watch(directory)
    yield directory
    destroy(directory)


@pytest.fixture
def environment(open_directory: Path) -> dict[str, str]:
    """The environment of a user whose labs live in ``open_directory``."""
    return {**os.environ, "XDG_STATE_HOME": str(open_directory)}
