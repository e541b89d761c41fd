"""Places for spools and vaults: servers' programs run as another account, which must reach them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbre.lab.site import Site


@pytest.fixture
def workplace(lab_site: Site) -> Iterator[Path]:
    """A directory that the servers' account may pass through, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="log-", dir=lab_site.directory))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
