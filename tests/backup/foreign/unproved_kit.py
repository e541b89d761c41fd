"""What the tests of adapters that no server has proved share: their fixtures, and programs that print them."""

import json
import os
import stat
import sys
from pathlib import Path

from dbre.core.programs.account import Account

FIXTURES = Path(__file__).parent / "fixtures"
ME = Account(name="me", uid=os.geteuid(), gid=os.getegid(), switch=False)

_PROGRAM = """#!{python} -IS
import json, os, sys
said = sys.stdin.buffer.read().decode() if not os.isatty(0) else ""
with open({calls!r}, "a") as file:
    print(json.dumps({{"argv": sys.argv, "environment": dict(os.environ), "stdin": said}}), file=file)
words = " ".join(sys.argv[1:]) + said
for mark, text, status in json.load(open({answers!r})):
    if mark in words:
        sys.stdout.write(text)
        sys.exit(status)
sys.exit("no answer to " + words)
"""


class Program:
    """A program of a name that answers by what it is asked, and remembers every call."""

    def __init__(self, directory: Path, name: str, answers: list[tuple[str, str, int]]) -> None:
        directory.mkdir(exist_ok=True)
        self._calls = directory / f"{name}.calls"
        told = directory / f"{name}.answers"
        told.write_text(json.dumps(answers))
        path = directory / name
        path.write_text(_PROGRAM.format(python=sys.executable, calls=str(self._calls), answers=str(told)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[dict]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []


def text(name: str) -> str:
    return (FIXTURES / name).read_text()


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path
