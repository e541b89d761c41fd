"""What is exported in tests, and the client of an exported file without its orchestrator."""

from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from typing import Any

from dbre.core.operation.orchestrators import ExportRequest

IMPORTS = """
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
FAILED_STATES = ("failed", "cancelled", "compensated", "needs_operator", "closed")
"""


def request(**changes: Any) -> ExportRequest:
    """A nightly check."""
    given: dict[str, Any] = {
        "name": "dbre-fleet-check",
        "description": "fleet.check through dbre",
        "url": "http://127.0.0.1:8080",
        "request": {"kind": "fleet.check", "input": {"cluster": "orders"}, "reason": "nightly"},
        "start": date(2026, 11, 1),
    }
    return ExportRequest(**given | changes)


def client(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The names that an exported file defines."""
    source = (files("dbre.core.operation.orchestrators") / "client.py.txt").read_text()
    names: dict[str, Any] = {"SETTINGS": settings, "__name__": "exported"}
    exec(compile(IMPORTS + source, "client.py.txt", "exec"), names)
    return names
