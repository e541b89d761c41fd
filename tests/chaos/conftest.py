"""No test leaves a fault, or an injector that goes on trying once its server is gone."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbre.capabilities.chaos.injection.record import Record, readable_records
from dbre.lab.processes import send

_PATIENCE_SECONDS = 30.0  # less than what is left of the time of a test
_POLL_SECONDS = 0.05


@pytest.fixture(autouse=True)
def no_injector_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """While the servers that tests share still run: an injector whose runner is gone takes its fault back, or is ended here."""
    place: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if place is None:
        return
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (left := _held(place)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    for one in left:
        if (holder := one.holder()) is not None:
            send(holder, signal.SIGKILL)
    assert not left, f"faults were left: {[(one.fault, one.phase.value, one.detail) for one in left]}"


def _held(place: Path) -> list[Record]:
    directories = {path.parent for path in place.rglob("*.fault.json")}
    return [one for directory in directories for one in readable_records(directory)[0] if one.holder() is not None]
