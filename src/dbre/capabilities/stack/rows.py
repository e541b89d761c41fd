"""Checks of services as they stand in JSON, for commands and pages."""

from datetime import datetime

from dbre.capabilities.stack.model import CheckResult
from dbre.core.view import Row

__all__ = ["check_row"]


def check_row(found: CheckResult) -> Row:
    """One check."""
    return {
        "service": found.service,
        "kind": found.kind.value,
        "url": found.url,
        "state": found.state.value,
        "detail": found.detail,
        "version": found.version,
        "latency_seconds": found.latency_seconds,
        "at": _text(found.at),
        "since": _text(found.since),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
