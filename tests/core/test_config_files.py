import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from config_kit import DOOR, OBJECTIVES, SECTIONS, problems_of

from dbre.core.config import Config, ConfigInvalid, find_files, load
from dbre.core.config.files import LIMIT_FILE_BYTES

ONE = "{name: %s, sli: {kind: latency, threshold: 1s}, target: 99%%}"


def read(*files: Path) -> Config:
    return load(files, sections=SECTIONS, environment={}, flags={})


def problem(*files: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read(*files)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "\ufeff", "door:\nobjectives:\n"])
def test_an_empty_file_means_defaults(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dbre.yaml"
    path.write_text(content)
    config = read(path)
    assert (config.get(DOOR).port, config.get(OBJECTIVES), config.files) == (8432, (), (path,))


def test_no_file_at_all_means_defaults() -> None:
    assert read().get(DOOR).port == 8432


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    assert "does not exist (create it, or name another with --config; dbre config schema" in problem(tmp_path / "none.yaml")
    assert "is not a regular file (name a file; directories may stand in include)" in problem(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "is not a regular file" in problem(fifo)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read: Too many levels of symbolic links" in problem(tmp_path / "loop")
    assert "a path holds no zero byte" in problem(tmp_path / "a\0b")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (LIMIT_FILE_BYTES + 1))
    assert "is larger than 4 MiB" in problem(big)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"door:\n  host: Espa\xf1a\n")
    assert f"{latin}:2:13: this is not UTF-8 text (save the file as UTF-8)" == problem(latin)
    listing = tmp_path / "list.yaml"
    listing.write_text("- door\n")
    assert f"{listing}:1:1: the file must hold keys with values" in problem(listing)


def _read_as_nobody(path: Path) -> str:
    script = (
        "import os, sys; from pathlib import Path; from dbre.core.config import *; import dbre.core.config.loader\n"
        "b'x'.decode('utf-8-sig'); os.setgid(65534); os.setuid(65534)\n"  # codecs are loaded late, and nobody may not
        "try: load([Path(sys.argv[1])], sections=[], environment={}, flags={})\n"
        "except ConfigInvalid as error: print(error.message)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=True
    ).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody who may not read the file")
def test_a_file_that_this_user_may_not_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "dbre.yaml"
    path.write_text("door: {}\n")
    path.chmod(0o000)
    assert "may not be read by this user" in _read_as_nobody(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody who may not read the directory")
def test_includes_that_this_user_may_not_read_are_all_reported() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # the directories of tmp_path are closed to nobody
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "closed").mkdir(mode=0o700)
        (directory / "dbre.yaml").write_text("include:\n  - closed\n  - closed/one.yaml\n  - closed/*.yaml\n")
        said = _read_as_nobody(directory / "dbre.yaml")
    assert re.findall(r"dbre\.yaml:(\d):5: (.*?) \(", said) == [
        ("2", f"{directory}/closed may not be read by this user"),
        ("3", f"{directory}/closed/one.yaml may not be read by this user"),
        ("4", "include closed/*.yaml matches no file"),
    ]


def test_includes_take_files_directories_and_patterns_in_order(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.yml").write_text(f"objectives: [{ONE % 'b'}]")
    (tmp_path / "conf.d" / "a.yaml").write_text(f"objectives: [{ONE % 'a'}]")
    (tmp_path / "conf.d" / ".hidden.yaml").write_text("nonsense: 1")
    (tmp_path / "conf.d" / "readme.txt").write_text("nonsense: 1")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "deep.yaml").write_text(f"include: ../last[1].yaml\nobjectives: [{ONE % 'c'}]")
    (tmp_path / "last[1].yaml").write_text(f"objectives: [{ONE % 'd'}]")
    path = tmp_path / "dbre.yaml"
    path.write_text(f"include: [conf.d, 'more/*.yaml']\nobjectives: [{ONE % 'first'}]\n")
    config = read(path)
    assert [one.name for one in config.get(OBJECTIVES)] == ["first", "a", "b", "c", "d"]
    assert config.place("objectives[2].name").endswith("conf.d/b.yml:1:15")
    assert config.directory_of("objectives[4].name") == tmp_path
    assert len(config.files) == 5


def test_includes_in_a_circle_or_twice_or_without_match_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: dbre.yaml")
    (tmp_path / "b.yaml").write_text("door: {port: 1}")
    text = "include: [a.yaml, b.yaml, b.yaml, 'c/*.yaml', missing.yaml, 5, empty]\n"
    (tmp_path / "empty").mkdir()
    found = [line.replace(f"{tmp_path}/", "") for line in problems_of(tmp_path, text)]
    assert found == [
        "a.yaml:1:10: include leads back to dbre.yaml (remove one include of the circle)",
        "1:27: b.yaml is included twice, first from 1:19 (keep one include)",
        "1:35: include c/*.yaml matches no file (correct the pattern, or remove it)",
        "1:47: missing.yaml does not exist (create it, or name another with --config; dbre config schema prints every key)",
        '1:61: include must be a list of paths, directories or patterns (write include: ["conf.d/*.yaml"])',
        "1:64: include empty matches no file (correct the pattern, or remove it)",
    ]


def test_a_link_is_the_place_where_relative_paths_start(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "dbre.yaml").write_text("door: {ca_file: ca.pem}")
    (tmp_path / "dbre.yaml").symlink_to(tmp_path / "real" / "dbre.yaml")
    assert read(tmp_path / "dbre.yaml").get(DOOR).ca_file == tmp_path / "ca.pem"


def test_a_file_name_with_control_characters_is_shown_written_out(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\n.yaml"
    path.write_text("nonsense: 1")
    assert f"{tmp_path}/a\\x1b[2J\\n.yaml:1:1: unknown key 'nonsense'" in problem(path)


def test_the_user_file_stands_below_the_project_file(tmp_path: Path) -> None:
    user, project = tmp_path / "home" / ".config" / "dbre" / "dbre.yaml", tmp_path / "project" / "dbre.yaml"
    environment = {"HOME": str(tmp_path / "home")}
    assert list(find_files([], environment=environment, directory=tmp_path / "project")) == []
    for path, text in ((user, "door: {port: 1, host: user}"), (project, "door: {port: 2}")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    files = find_files([], environment=environment, directory=tmp_path / "project")
    assert list(files) == [user, project]
    config = read(*files)
    assert (config.get(DOOR).port, config.get(DOOR).host) == (2, "user")
    assert config.directory == project.parent
    named = tmp_path / "missing.yaml"
    assert list(find_files([named], environment=environment, directory=tmp_path)) == [user, named]
    elsewhere = {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}
    assert list(find_files([], environment=elsewhere, directory=tmp_path)) == []


def test_the_user_file_may_be_the_project_file_and_two_layers_may_include_one_file(tmp_path: Path) -> None:
    shared, user, project = tmp_path / "shared.yaml", tmp_path / "dbre" / "dbre.yaml", tmp_path / "project.yaml"
    user.parent.mkdir()
    shared.write_text("door: {port: 7}")
    user.write_text("include: ../shared.yaml")
    project.write_text("include: shared.yaml")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert list(find_files([], environment=environment, directory=user.parent)) == [user]
    assert read(*find_files([project], environment=environment, directory=tmp_path)).get(DOOR).port == 7
