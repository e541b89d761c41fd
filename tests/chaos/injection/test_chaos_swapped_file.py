"""A file that another one stands in for comes back wherever the act was cut off, and what somebody else put there stays."""

from pathlib import Path

import pytest

from dbre.core.errors import PrecheckFailed
from dbre.engines.mysql.mischief.swapped_file import SwappedFile


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The server's file, reached by a link, and another one."""
    (tmp_path / "etc").mkdir()
    real, link, other = tmp_path / "etc" / "real.pem", tmp_path / "server.pem", tmp_path / "other.pem"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    other.write_text("other")
    return real, link, other


def test_it_stands_there_and_goes(files: tuple[Path, Path, Path]) -> None:
    real, link, other = files
    number = real.stat().st_ino
    swapped = SwappedFile.at(link, "a1")
    swapped.swap(other)
    assert (link.read_text(), link.is_symlink(), real.stat().st_mode & 0o777) == ("other", True, 0o640)
    for _ in range(2):  # by the injector, and by whoever heals
        SwappedFile(swapped.path, "a1").put_back()
        assert (real.read_text(), real.stat().st_ino, list(real.parent.iterdir())) == ("old", number, [real])


@pytest.mark.parametrize("act", ["link", "replace"])
def test_it_was_cut_off(files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    real, link, other = files
    swapped = SwappedFile.at(link, "a1")

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        if act == "link":
            broken.setattr("os.link", fail)
        else:
            broken.setattr(Path, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            swapped.swap(other)
    swapped.put_back()
    assert (real.read_text(), list(real.parent.iterdir())) == ("old", [real])


def test_a_newer_one_stays(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    real, link, other = files
    swapped = SwappedFile.at(link, "a1")
    swapped.swap(other)
    newer = tmp_path / "newer.pem"
    newer.write_text("newer")
    newer.replace(real)
    swapped.put_back()
    assert (real.read_text(), list(real.parent.iterdir())) == ("newer", [real])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrecheckFailed, match=r"none\.pem is no file that can be read"):
        SwappedFile.at(tmp_path / "none.pem", "a1")
