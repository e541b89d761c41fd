"""The system's Chromium for tests of pages: no download of its own."""

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["CHROMIUM_FLAGS", "find_chromium"]

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str:
    """Path of Chromium. Skips the test where there is none, or fails it with ``DBRE_REQUIRE_ALL=1``."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return _leave_out("Chromium is not installed: apt-get install chromium")


def _leave_out(reason: str) -> NoReturn:
    if os.environ.get("DBRE_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
