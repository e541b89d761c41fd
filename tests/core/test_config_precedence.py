from pathlib import Path

import pytest
from config_kit import DOOR, OBJECTIVES, SECTIONS, load_text, problems_of

from dbre.core.config import load

CHAIN = ("default", "user", "project", "environment", "flag")


@pytest.mark.parametrize("highest", range(len(CHAIN)))
def test_each_source_beats_the_ones_below_it(tmp_path: Path, highest: int) -> None:
    user, project = tmp_path / "user.yaml", tmp_path / "project.yaml"
    user.write_text("door: {host: user}" if highest >= 1 else "")
    project.write_text("door: {host: project}" if highest >= 2 else "")
    config = load(
        [user, project],
        sections=SECTIONS,
        environment={"DBRE_DOOR__HOST": "environment"} if highest >= 3 else {},
        flags={"door.host": "flag"} if highest >= 4 else {},
    )
    origin = {one.key: one.origin for one in config.origin()}["door.host"]
    places = ("default", f"{user}:1:8", f"{project}:1:8", "environment variable DBRE_DOOR__HOST", "flag door.host")
    assert config.get(DOOR).host == ("127.0.0.1" if highest == 0 else CHAIN[highest])
    assert (origin, config.place("door.host")) == (places[highest], places[highest])


def test_variables_and_flags_become_the_type_that_the_schema_asks_for(tmp_path: Path) -> None:
    environment = {
        "DBRE_DOOR__PORT": "80",
        "DBRE_DOOR__HOST": "8080",  # text that looks like a number
        "DBRE_DOOR__IS_OPEN": "true",
        "DBRE_DOOR__RATIO": "1e-1",
        "DBRE_DOOR__TOKEN": "env:X",
        "DBRE_OUTPUT": "json",  # one underscore: a global option, not a setting
        "OTHER__KEY": "1",
    }
    flags = {
        "door.timeout": "5s",
        "objectives": '[{name: "0", sli: {kind: latency, threshold: 1s}, target: 99%}]',
        "door.cache": "1KiB",
    }
    config = load_text(tmp_path, "", environment=environment, flags=flags)
    door = config.get(DOOR)
    assert (door.port, door.host, door.is_open, door.ratio, str(door.token)) == (80, "8080", True, 0.1, "env:X")
    assert (door.timeout and door.timeout.total_seconds(), door.cache) == (5, 1024)
    assert config.get(OBJECTIVES)[0].name == "0"


def test_wrong_variables_and_flags_are_named(tmp_path: Path) -> None:
    environment = {
        "DBRE_DOR__PORT": "1",
        "DBRE_DOOR__PORT": "many",
        "DBRE_DOOR__PROT": "1",
        "DBRE_DOOR__": "1",
        "DBRE_DOOR__IS_OPEN": "yes",
        "DBRE_DOOR__HOST": "a\x1bb",
        "DBRE_DOOR__RATIO": "[1, 2",
        "DBRE_DOOR__CA_FILE__X": "1",
    }
    found = problems_of(tmp_path, "", environment=environment, flags={"door.host.name": "x", "dor": "1"})
    variable = "environment variable DBRE_"
    assert found == [
        f"{variable}DOOR__: the name has an empty part (write DBRE_SECTION__KEY)",
        f"{variable}DOOR__CA_FILE__X: door.ca_file: expected the path of a file",
        f"{variable}DOOR__HOST: the value holds the character U+001B (remove it)",
        f"{variable}DOOR__IS_OPEN: door.is_open: expected true or false, got other text",
        f"{variable}DOOR__PORT: door.port: expected a whole number, got other text",
        f"{variable}DOOR__PROT: door: unknown key 'prot' (did you mean port?)",
        (
            f"{variable}DOOR__RATIO:1:1: not valid YAML: while parsing a flow sequence did not find expected ',' or ']' "
            "(check the brackets and commas)"
        ),
        f"{variable}DOR__PORT: there is no section 'dor' (did you mean DBRE_DOOR__...?)",
        "flag door.host.name: door.host: expected text, got keys with values",
        "flag dor: unknown key 'dor' (did you mean door?)",
    ]


def test_one_file_overrides_key_by_key_and_replaces_lists(tmp_path: Path) -> None:
    user, project = tmp_path / "user.yaml", tmp_path / "project.yaml"
    one = "{name: %s, sli: {kind: latency, threshold: 1s}, target: 99%%}"
    user.write_text(f"door: {{port: 1, host: user}}\nobjectives: [{one % 'user'}]")
    project.write_text(f"door: {{port: 2}}\nobjectives: [{one % 'project'}]")
    config = load([user, project], sections=SECTIONS, environment={}, flags={})
    assert (config.get(DOOR).host, config.get(DOOR).port) == ("user", 2)
    assert [objective.name for objective in config.get(OBJECTIVES)] == ["project"]
    assert config.directory_of("door.host") == tmp_path


def test_a_flag_or_variable_leads_into_a_list_by_number_or_name(tmp_path: Path) -> None:
    text = """
objectives:
  - {name: a, sli: {kind: latency, threshold: 1s}, target: 99%}
  - {name: b, sli: {kind: latency, threshold: 1s}, target: 99%}
"""
    flags, environment = {"objectives.b.target": "98%"}, {"DBRE_OBJECTIVES__0__SLI__THRESHOLD": "3s"}
    config = load_text(tmp_path, text, environment=environment, flags=flags)
    first, second = config.get(OBJECTIVES)
    assert first.sli.threshold.total_seconds() == 3  # type: ignore[union-attr]
    assert (float(first.target), float(second.target)) == (0.99, 0.98)
    origin = {one.key: one.origin for one in config.origin()}
    assert origin["objectives[1].target"] == "flag objectives.b.target"
    assert origin["objectives[0].target"].endswith("dbre.yaml:3:52")
    (problem,) = problems_of(tmp_path, text, flags={"objectives.c.target": "98%"})
    assert problem == "flag objectives.c.target: objectives has no element 'c' (it has 0 (a), 1 (b))"


def test_relative_paths_start_at_the_file_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "door.yaml").write_text("door: {ca_file: ca.pem, token: 'file:token'}")
    config = load_text(tmp_path, "include: a/door.yaml")
    door = config.get(DOOR)
    assert door.ca_file == tmp_path / "a" / "ca.pem"
    assert door.token is not None
    assert door.token.base_directory == tmp_path / "a"
