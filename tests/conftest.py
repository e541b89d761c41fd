"""Real servers for every test that asks for one."""

import gc
import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from migrated_stores import migrated_file

__all__ = ["migrated_file"]

pytest_plugins = [
    "dbre.testing.fixtures",
    "dbre.testing.broker_fixtures",
    "dbre.testing.monitoring_fixtures",
    "dbre.testing.stream_fixtures",
    "dbre.testing.patroni_fixtures",
]

# A shell lets what it starts in the background ignore Ctrl-C, and children inherit that: tests of Ctrl-C would prove nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Thousands of tests and modules stay alive: to look for garbage among them again and again costs two fifths of a collection.
gc.set_threshold(100_000, 20, 50)


def pytest_collection_finish() -> None:
    """What is there now stays to the end."""
    gc.collect()
    gc.freeze()


# Whose tests share servers, copies and a browser that take long to make.
_TOGETHER = ("tests/backup/", "tests/web/", "tests/ha/test_patroni_")


class _ByServers(LoadFileScheduling):
    """What shares servers stays in one worker: a file, and a directory of those that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path.rpartition("/")[0] if path.startswith(_TOGETHER) else path


@pytest.hookimpl(optionalhook=True)  # there is none with `-p no:xdist`
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Ours in place of ``--dist loadfile``."""
    return _ByServers(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Directories that stay together and files with slow tests come first: then no worker is done long before the others.

    Without this a file of one long test is the last (``--dist loadfile`` gives out files as they come).
    """
    if "soak" not in (config.option.markexpr or ""):
        long = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if item not in long] if long else items
        config.hook.pytest_deselected(items=long)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(_TOGETHER), item.path not in slow))
