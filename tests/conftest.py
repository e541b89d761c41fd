"""Real servers for every test that asks for one."""

import signal

import pytest

from migrated_stores import migrated_file

__all__ = ["migrated_file"]

pytest_plugins = [
    "dbre.testing.fixtures",
    "dbre.testing.broker_fixtures",
    "dbre.testing.monitoring_fixtures",
    "dbre.testing.stream_fixtures",
]

# A shell lets what it starts in the background ignore Ctrl-C, and children inherit that: tests of Ctrl-C would prove nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: whichever worker gets them, the other is not done long before it.

    Without this a file of one long test is the last (``--dist loadfile`` gives out files as they come).
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
