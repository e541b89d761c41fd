import json
from decimal import Decimal
from pathlib import Path

import pytest
from config_kit import DOOR, OBJECTIVES, load_text, problems_of

from dbre.core.config import ConfigInvalid, Document, Fault, Section, load


def test_every_problem_of_every_file_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.yaml").write_text(
        "door: {host: yes, port: 5}\nobjectives: [{name: 1, sli: {kind: latency, threshold: 1}, target: 0.999}]\n"
    )
    text = """\
include: conf.d/*.yaml
door:
  port: "80"
  hots: x
  on: 5
  timeout: 10
objectives:
  - name: a
    sli: {kind: availability, purpos: write}
    target: 99.9%
  - name: b
    sli: {kind: latencyy, threshold: 100ms}
    target: 99.9
    selector: 5
  - sli: {threshold: 100ms}
    target: 1
dorr: {}
"""
    found = [line.replace(f"{tmp_path}/", "") for line in problems_of(tmp_path, text)]
    assert found == [
        'conf.d/b.yaml:1:14: unquoted yes is a boolean to some readers of YAML (write true, or "yes" if text is meant)',
        "conf.d/b.yaml:1:19: door.port is already set in 3:3 (keep one of them)",
        "conf.d/b.yaml:2:21: objectives[3].name: expected text, got a whole number (put it in quotes)",
        "conf.d/b.yaml:2:56: objectives[3].sli.threshold: expected a duration with its unit, such as 10s",
        "3:9: door.port: expected a whole number, got other text",
        "4:3: door: unknown key 'hots' (did you mean host?)",
        '5:3: unquoted on is a boolean to some readers of YAML (write true, or "on" if text is meant)',
        "6:12: door.timeout: expected a duration with its unit, such as 10s",
        "9:5: objectives[0].sli.purpose is missing",
        "9:31: objectives[0].sli: unknown key 'purpos' (did you mean purpose?)",
        "12:17: objectives[1].sli.kind: expected one of availability, latency, got other text (did you mean latency?)",
        "13:13: objectives[1].target: '99.9' does not lie between 0 and 1 (did you mean 99.9%?)",
        "14:15: objectives[1].selector: expected keys with values, got a whole number",
        "15:5: objectives[2].name is missing",
        "15:5: objectives[2].sli.kind is missing",
        "16:13: objectives[2].target: a target of 100 % leaves no budget (write 99.99%)",
        "17:1: unknown key 'dorr' (did you mean door?)",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("port: true", "expected a whole number, got true or false"),
        ("port: 80.5", "expected a whole number, got a number"),
        ("port: 0", "expected a number of at least 1, got a whole number"),
        ("port: 65536", "expected a number of at most 65535, got a whole number"),
        ("port: 99999999999999999999", "expected "),
        ("is_open: 1", "expected true or false, got a whole number"),
        ('is_open: "true"', "expected true or false, got other text"),
        ("host: 1.5", "expected text, got a number (put it in quotes)"),
        ("host: null", "expected text, got nothing"),
        ("host: [a]", "expected text, got a list"),
        ("cache: 64", "expected a size with its unit, such as 64MiB"),
        ("cache: 64 parsecs", "'64 parsecs' is not a size"),
        ("timeout: 0s", "'0s' is no time at all"),
        ("ca_file: ''", "expected the path of a file"),
    ],
)
def test_wrong_types_and_bounds_say_what_is_expected(tmp_path: Path, value: str, expected: str) -> None:
    problems = problems_of(tmp_path, f"door: {{{value}}}")
    assert len(problems) == 1
    assert f"door.{value.partition(':')[0]}: {expected}" in problems[0]


def test_the_branches_of_a_union_make_one_line(tmp_path: Path) -> None:
    text = "objectives: [{name: a, sli: {kind: latency, threshold: 1s}, target: 99%, selector: {tier: 0, team: [1]}}]"
    assert problems_of(tmp_path, text) == [
        "1:91: objectives[0].selector.tier: expected text or a list, got a whole number (put it in quotes)",
        "1:100: objectives[0].selector.team: expected text, got a list",
        "1:101: objectives[0].selector.team[0]: expected text, got a whole number (put it in quotes)",
    ]


REFERENCE = "a secret is not written here, only where it is kept (write env:NAME, file:/path/to/file or exec:program argument)"
SECRETS = [
    "token: hunter2",
    "token: 'hunter2: with colon'",
    "token: *hunter2",
    "token: !hunter2",
    "token: !hunter2 x",
    "token: &hunter2",
    "token: #hunter2",
    "token: %hunter2",
    "token: @hunter2",
    "token: `hunter2",
    "token: {hunter2: 1}",
    "token: [hunter2]",
    "token: 'hunter2",
    'token: "hunter2\\q"',
    "token: vault:hunter2",
    "token: env:hunter2-is-not-a-name",
    'token: "exec:\'hunter2"',
    "token: hunter2\n   : x",
    "token: 0123hunter2: x",
    "token: ? hunter2",
    "token: - hunter2",
    "token: hunter2\n\t- x",
    "tokn: hunter2",
    "host: {password: hunter2}",
]


@pytest.mark.parametrize("line", SECRETS)
def test_a_password_where_a_reference_belongs_is_never_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_text(tmp_path, f"door:\n  {line}\n")
    error = caught.value
    if line == "token: {hunter2: 1}":  # a key of a mapping is not taken for a secret, and neither is it shown
        assert "expected a reference to a secret" in error.message
    assert "hunter2" not in json.dumps(error.as_document()) + str(error) + repr(error)
    chain: BaseException | None = error
    while chain is not None:
        assert "hunter2" not in str(chain)
        chain = chain.__cause__ or chain.__context__


def test_a_password_in_the_environment_is_not_repeated_either(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "", environment={"DBRE_DOOR__TOKEN": "hunter2"})
    assert problems == [f"environment variable DBRE_DOOR__TOKEN: door.token: {REFERENCE}"]


def test_a_plain_password_is_answered_with_the_forms_of_a_reference(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "door: {token: hunter2}") == [f"1:15: door.token: {REFERENCE}"]


def test_faults_across_fields_are_reported_beside_wrong_fields(tmp_path: Path) -> None:
    class Pair(Document):
        low: int
        high: int

    def faults(raw: dict) -> list[Fault]:
        low, high = raw.get("low"), raw.get("high")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            return [Fault(path=("high",), message=f"{high} lies below low, {low}", hint="swap them")]
        return []

    section = Section("pair", Pair, lambda: Pair(low=0, high=1), "Two numbers.", faults=faults)
    path = tmp_path / "dbre.yaml"
    path.write_text("pair:\n  low: 5\n  high: 3\n  more: 1\n")
    with pytest.raises(ConfigInvalid) as caught:
        load([path], sections=[section], environment={}, flags={})
    assert [(p.place.line, p.place.column, p.message) for p in caught.value.problems] == [
        (3, 9, "pair.high: 3 lies below low, 5"),
        (4, 3, "pair: unknown key 'more'"),
    ]


def test_many_problems_are_counted_and_the_message_stays_bounded(tmp_path: Path) -> None:
    text = "door:\n" + "".join(f"  wrong{i}: 1\n" for i in range(300))
    with pytest.raises(ConfigInvalid, match=r"300 problems") as caught:
        load_text(tmp_path, text)
    assert len(caught.value.problems) == 300
    assert caught.value.message.count("\n") == 51
    assert caught.value.message.endswith("... and 250 more")


def test_a_valid_file_gives_exact_documents(tmp_path: Path) -> None:
    text = """\
\ufeffdoor: {port: 80, token: "file:secret/token", ca_file: ca.pem, timeout: 1h30m, cache: 64MiB}
objectives:
  - {name: a, sli: {kind: latency, threshold: 250ms}, target: 0.9995, selector: {tier: ["0", "1"]}}
"""
    config = load_text(tmp_path, text)
    door = config.get(DOOR)
    (objective,) = config.get(OBJECTIVES)
    assert (door.port, door.ca_file, door.cache) == (80, tmp_path / "ca.pem", 64 * 2**20)
    assert door.token is not None
    assert door.token.base_directory == tmp_path
    assert objective.target == Decimal("0.9995")
    assert objective.selector == {"tier": ("0", "1")}


def test_a_value_that_is_nearly_one_of_the_choices_is_named(tmp_path: Path) -> None:
    text = "objectives:\n  - {name: a, target: 99.9%, sli: {kind: availabilty, purpose: write}}\n"
    assert problems_of(tmp_path, text) == [
        "2:42: objectives[0].sli.kind: expected one of availability, latency, got other text (did you mean availability?)"
    ]
