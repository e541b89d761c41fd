"""A place for servers that goes with the process, however the process ends."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import choose_account
from dbre.core.programs.cache import cache_directory
from dbre.lab.destruction import destroy
from dbre.lab.guardian import Guardian
from dbre.lab.site import Site

__all__ = ["temporary_site"]


@contextmanager
def temporary_site(*, prefix: str, parent: str | None = None, durable: bool = False) -> Iterator[Site]:
    """A new directory below ``parent`` (default: the system's for temporary files) that the servers' account may enter.

    At the end its servers are killed and it is removed; a guardian does that should this process be killed itself.
    """
    account = choose_account(os.environ)
    guardian = Guardian()
    try:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        guardian.watch(directory)
        directory.chmod(0o711)
        cache = cache_directory(account, os.environ)
        try:
            yield Site(directory=directory, account=account, cache=cache, guardian=guardian, durable=durable)
        finally:
            destroy(directory)
    finally:
        guardian.close()
