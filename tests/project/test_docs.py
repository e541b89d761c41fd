"""Documentation says only what exists: pages, links out of docs/, commands and their flags."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from dbre.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def nav_pages(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for value in entry.values():
            yield from nav_pages(value)
    elif isinstance(entry, list):
        for item in entry:
            yield from nav_pages(item)


def test_every_page_is_in_the_navigation_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(nav_pages(nav)) == [str(path.relative_to(ROOT / "docs")) for path in PAGES]


def test_decisions_are_numbered_in_order_and_listed() -> None:
    folder = ROOT / "docs/explanation/decisions"
    names = sorted(path.name for path in folder.glob("0*.md"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    index = (folder / "index.md").read_text(encoding="utf-8")
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        assert f"[{name[:4]}]({name})" in index
        assert text.startswith(f"# {name[:4]} ")
        assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences", "Rejected"], name


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_of_the_pages_at_the_top_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def shell_lines(text: str) -> Iterator[str]:
    """Lines of shell blocks, continuation lines joined, comments, prompts and output left out."""
    for language, block in re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL):
        if language in {"sh", "console", "bash"}:
            for line in block.replace("\\\n", " ").splitlines():
                prompted = line.strip().startswith("$ ")
                if language != "console" or prompted:
                    yield line.strip().removeprefix("$ ")


def dbre_calls() -> Iterator[tuple[str, list[str]]]:
    for path in TEXTS:
        for line in shell_lines(path.read_text(encoding="utf-8")):
            for words in (shlex.split(part, comments=True) for part in re.split(r"\s(?:\||&&|;)\s", line)):
                while words and (words[0] in {"sudo", "exec", "nohup"} or re.fullmatch(r"[A-Z_]+=.*", words[0])):
                    words = words[1:]
                if words and Path(words[0]).name == "dbre":
                    yield f"{path.relative_to(ROOT)}: {line}", words[1:]


@pytest.fixture(scope="module")
def root_command() -> object:
    from dbre.app import Application
    from dbre.cli.root import _application

    return typer.main.get_command(_application(Application))


def check_call(command: object, words: list[str], where: str) -> None:
    """Walk down the command tree word by word; every flag must exist where it stands."""
    context = typer.Context(command)
    words = list(words)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            flag = word.partition("=")[0]
            options = {name: option for option in command.get_params(context) for name in option.opts + option.secondary_opts}
            assert flag in options or flag == "--help", f"{where}\n  {command.name} has no {flag}"
            option = options.get(flag)
            takes_value = option is not None and not option.is_flag and not getattr(option, "count", False)
            if takes_value and "=" not in word:
                assert words, f"{where}\n  {flag} wants a value"
                words.pop(0)
        elif hasattr(command, "get_command"):
            found = command.get_command(context, word)
            assert found is not None, f"{where}\n  {command.name} has no command {word}"
            command, context = found, typer.Context(found, parent=context, info_name=word)


def test_commands_in_the_documentation_exist(root_command: object) -> None:
    calls = list(dbre_calls())
    assert calls
    for where, words in calls:
        check_call(root_command, words, where)


def test_reference_pages_are_what_the_program_says() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for path in TEXTS:
        for line in shell_lines(path.read_text(encoding="utf-8")):
            words = shlex.split(line, comments=True)
            if words and words[0] == "make":
                assert targets.issuperset(word for word in words[1:] if "=" not in word), f"{path}: {line}"


def test_the_readme_names_every_command_group() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if f"dbre {name}" not in text and name not in {"help", "version", "completion"}]
    assert missing == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_in_the_documentation_is_yaml(path: Path) -> None:
    for block in re.findall(r"^ *```yaml[^\n]*\n(.*?)^ *```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        yaml.safe_load(block)
