"""What tests of the lab share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbre.lab.destruction import destroy
from dbre.lab.site import Site


@pytest.fixture
def open_directory(lab_site: Site) -> Iterator[Path]:
    """A directory that other accounts may pass through, unlike pytest's own; gone with the test run at the latest."""
    directory = Path(tempfile.mkdtemp(prefix="lab-", dir=lab_site.directory))
    directory.chmod(0o711)
    yield directory
    destroy(directory)


@pytest.fixture
def environment(open_directory: Path) -> dict[str, str]:
    """The environment of a user whose labs live in ``open_directory``."""
    return {**os.environ, "XDG_STATE_HOME": str(open_directory)}
