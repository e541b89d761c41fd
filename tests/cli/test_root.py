"""The root command: start-up cost, forms of output, errors and exit codes."""

import asyncio
import importlib
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer
import yaml

from dbre import __version__
from dbre.cli import commands, root
from dbre.cli.output import OutputFormat, OutputOptions
from dbre.cli.render import render
from dbre.core.errors import ExitCode, Unreachable, UsageError
from dbre.core.progress import report
from dbre.core.text import HIDDEN
from dbre.core.view import Column, View

HOSTILE = 'a"b\nc\x1b[31m<script>=1\x9b2J\u202e\udcff'


def run(*arguments: str) -> int:
    return root.main(lambda _: object(), list(arguments))


@pytest.fixture
def probe_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Install a function as ``dbre trial`` for the time of one test."""

    def install(function: Callable[[], object]) -> None:
        module = type(sys)("dbre_trial")
        module.app = typer.Typer()  # type: ignore[attr-defined]
        module.app.command()(function)
        monkeypatch.setitem(sys.modules, "dbre_trial", module)
        entry = commands.CommandEntry("Measure", "dbre_trial", "A trial.")
        monkeypatch.setitem(commands.COMMANDS, "trial", entry)

    return install


def test_root_help_imports_nothing_heavy() -> None:
    trace = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dbre", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in trace.stderr.splitlines()}
    assert not imported & {
        "fastapi",
        "psycopg",
        "sqlalchemy",
        "alembic",
        "pydantic",
        "uvicorn",
        "httpx",
        "redis",
        "asyncmy",
        "yaml",
    }
    for name in commands.COMMANDS:
        assert name in trace.stdout


@pytest.mark.parametrize("name", list(commands.COMMANDS))
def test_every_entry_loads_and_says_what_root_help_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = commands.COMMANDS[name]
    assert isinstance(getattr(importlib.import_module(entry.module), entry.attribute), typer.Typer)
    assert run(name, "--help") == 0
    assert entry.summary in " ".join(capsys.readouterr().out.split())


def test_unknown_command_is_a_usage_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flet") == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Did you mean 'fleet'" in captured.err


def test_error_names_hint_and_exit_code(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> View:
        raise Unreachable("pg1 did not answer in 2 s", hint="check the network", context={"instance": "pg1"})

    probe_command(fail)
    assert run("trial") == ExitCode.UNREACHABLE
    assert capsys.readouterr().err == "dbre: pg1 did not answer in 2 s\nhint: check the network\n"
    assert run("trial", "-o", "json") == ExitCode.UNREACHABLE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["error"]["context"] == {"instance": "pg1"}


def test_asynchronous_command_runs_and_renders(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    async def one() -> View:
        return View(kind="ThingList", items=[{"name": "b", "lag_seconds": 2.5}, {"name": "a", "lag_seconds": None}])

    probe_command(one)
    assert run("trial", "-o", "json", "--sort", "name") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "ThingList"
    assert document["items"] == [{"name": "a", "lag_seconds": None}, {"name": "b", "lag_seconds": 2.5}]
    assert run("trial", "--columns", "nme") == ExitCode.USAGE
    assert "did you mean name" in capsys.readouterr().err


@pytest.mark.parametrize("form", [one for one in OutputFormat if one is not OutputFormat.NAGIOS])
def test_hostile_text_never_reaches_the_terminal_raw(form: OutputFormat) -> None:
    text, _ = render(View(kind="ThingList", items=[{"name": HOSTILE, "size_bytes": 1}]), form)
    assert not HIDDEN.search(text.replace("\n", ""))
    text.encode()
    if form is OutputFormat.JSON:
        assert json.loads(text)["items"][0]["name"] == HOSTILE
    if form is OutputFormat.YAML:
        assert yaml.safe_load(io.StringIO(text))["items"][0]["name"] == HOSTILE


def test_csv_does_not_carry_formulas() -> None:
    text, _ = render(View(kind="T", items=[{"name": "=HYPERLINK(1)"}, {"name": "plain"}]), OutputFormat.CSV)
    assert text == "name\n'=HYPERLINK(1)\nplain\n"


def test_nagios_maps_findings_to_critical_with_perfdata() -> None:
    view = View(kind="Lag", items=[{"name": "pg1", "lag_seconds": 3.5}], notes=["1 | late"], exit_code=ExitCode.FINDINGS)
    assert render(view, OutputFormat.NAGIOS) == ("Lag CRITICAL - 1 / late | 'pg1_lag_seconds'=3.5\n", 2)


def test_a_command_that_fails_is_no_answer_to_nagios_unless_the_target_is_what_does_not_answer(
    probe_command, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = {
        Unreachable("pg1 | did\nnot answer"): ("CRITICAL - pg1 / did not answer", 2),
        UsageError("bad"): ("UNKNOWN - bad", 3),
    }
    for error, (line, code) in errors.items():

        def fail(error: Exception = error) -> View:
            raise error

        probe_command(lambda: fail())
        assert run("trial", "-o", "nagios") == code
        assert capsys.readouterr().out == f"dbre {line}\n"
    assert run("trial", "--nonsense", "-o", "nagios") == 3
    assert capsys.readouterr().out == "dbre UNKNOWN - No such option: --nonsense\n"


@pytest.mark.parametrize(
    ("after", "code", "said"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        (
            "> /dev/full",
            1,
            "dbre: standard output cannot be written: No space left on device\nhint: the result is incomplete\n",
        ),
    ],
)
def test_a_reader_that_leaves_is_no_error_and_a_full_disk_is_one(after: str, code: int, said: str) -> None:
    words = ["bash", "-c", f"{sys.executable} -m dbre help exit-codes {after}"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", said)


def test_ctrl_c_is_said_and_has_its_own_exit_code(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    async def wait() -> View:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)
        return View(kind="T", items=[])

    probe_command(wait)
    assert run("trial") == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_table_of_nothing_says_so_and_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert OutputOptions().show(View(kind="T", items=[], columns=[Column(key="a", title="A")], empty="no clusters")) == 0
    assert capsys.readouterr().out == "no clusters\n"


def test_configuration_flags_count_before_the_command_and_after_it(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[root.GlobalOptions] = []

    def one(context: typer.Context) -> View:
        return View(kind="T", items=[{"files": [str(path) for path in context.obj.config_files]}])

    probe_command(one)
    words = ["-c", "a.yaml", "--set", "x=1", "trial", "-c", "b.yaml", "--set", "y=2", "-o", "json"]
    assert root.main(lambda options: seen.append(options) or options, words) == 0
    assert json.loads(capsys.readouterr().out)["items"] == [{"files": ["a.yaml", "b.yaml"]}]
    assert seen[-1].overrides == (("x", "1"), ("y", "2"))
    assert run("trial", "--set", "novalue") == ExitCode.USAGE


def test_quiet_silences_progress_and_notes_but_no_data(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    async def one() -> View:
        report("half-way")
        return View(kind="T", items=[{"name": "a"}], notes=["done"])

    probe_command(one)
    assert run("trial", "-o", "name") == 0
    assert "half-way\ndone" in capsys.readouterr().err
    assert run("trial", "-o", "name", "-q") == 0
    assert capsys.readouterr() == ("a\n", "")


@pytest.mark.parametrize("words", ["--help", "slo --help", "version", "help exit-codes", "", "version -o nagios --typo"])
@pytest.mark.parametrize("target", [">/dev/full", ">&-"])
def test_a_standard_output_that_takes_nothing_is_one_message(words: str, target: str) -> None:
    command = f"{sys.executable} -m dbre {words} {target}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.startswith("dbre: standard output ")
    assert (done.stderr.count("dbre: "), done.stderr.count("\n"), "Traceback" in done.stderr) == (1, 2, False)


def test_the_program_tells_its_version_topics_and_help_as_others_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"dbre {__version__}\n"
    for words in (["-h"], ["slo", "-h"], ["slo", "list", "-h"]):
        assert run(*words) == 0
        assert "Usage: dbre" in capsys.readouterr().out
    assert run("help") == 0
    assert "exit-codes" in capsys.readouterr().out
    assert run("completion") == ExitCode.USAGE
    assert "\\t" not in capsys.readouterr().err


def test_watch_has_a_shortest_interval_and_separates_rounds(probe_command, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = iter(range(2))

    def one() -> View:
        if next(rounds, None) is None:
            raise Unreachable("enough")
        return View(kind="ThingList", items=[{"name": "a"}])

    probe_command(one)
    assert run("trial", "--watch", "1ms") == ExitCode.USAGE
    assert "--watch 1ms is shorter than 100 ms" in capsys.readouterr().err
    assert run("trial", "--watch", "100ms") == ExitCode.UNREACHABLE
    assert re.fullmatch(r"(NAME\na\n\n--- [-0-9]{10} [:0-9]{8}Z\n){2}", capsys.readouterr().out)


def test_a_narrow_terminal_cuts_names_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    name = "availability@orders-primary-eu"
    text, _ = render(View(kind="T", items=[{"name": name, "why": "x" * 60, "at": "y" * 20}]), OutputFormat.TABLE)
    assert name in text
    assert max(map(len, text.splitlines())) <= 50


def test_a_narrow_terminal_shows_commands_whole_below_and_the_ends_of_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    items = [
        {"id": "01a1ff1d-44dd-7e1c-96bb-92ef1587408d", "size": "x" * 30, "fix": "dbre backup take shop --kind full"},
        {"id": "b"},
    ]
    columns = (
        Column(key="id", title="SET", tail=True),
        Column(key="size", title="SIZE"),
        Column(key="fix", title="FIX", below=True),
    )
    view = View(kind="T", items=items, columns=columns)
    monkeypatch.setenv("COLUMNS", "36")
    narrow = render(view, OutputFormat.TABLE)[0].splitlines()
    assert narrow[1].startswith("…")
    assert "92ef1587408d  x" in narrow[1]
    assert narrow[2] == "  fix: dbre backup take shop --kind full"
    assert narrow[3].startswith("b ")
    assert max(map(len, narrow[:2])) <= 36
    monkeypatch.setenv("COLUMNS", "200")
    assert render(view, OutputFormat.TABLE)[0].splitlines()[1].endswith("dbre backup take shop --kind full")
