"""How much of a server's files is in memory is told while the server makes them longer and shorter, and deletes them."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dbre.capabilities.chaos.injection.faults.cache_drop import _drop, _held

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOKS = 300


@contextmanager
def busy(directory: Path) -> Iterator[None]:
    """Somebody who changes the size of a file all the time, deletes it, and makes it again."""
    done = threading.Event()

    def work() -> None:
        path, sizes = directory / "busy", (_PAGE * 50, 0, 1, _PAGE * 3)
        while not done.is_set():
            for size in sizes:
                with path.open("ab") as file:
                    file.truncate(size)
            path.unlink()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join()


def test_files_that_change_while_they_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "still").write_bytes(b"x" * (_PAGE * 10 + 1))
    (tmp_path / "empty").touch()
    with suppress(OSError):
        (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    assert _held(tmp_path) == 11 * _PAGE
    with busy(tmp_path):
        for _ in range(_LOOKS):
            _drop(tmp_path)
            assert 0 <= _held(tmp_path) <= 61 * _PAGE
    assert _held(tmp_path / "nowhere") == 0
