"""Completion, as real shells ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT_DIRECTORY = str(Path(sys.executable).parent)
ASK = {
    "bash": """source <(dbre completion bash)
        COMP_WORDS=(dbre {words} "{last}"); COMP_CWORD={count}; _dbre_completion dbre; printf "%s\\n" "${{COMPREPLY[@]}}" """,
    "zsh": """compdef() {{ :; }}; _arguments() {{ print -r -- "$2$1"; }}; source <(dbre completion zsh)
        words=(dbre {words} "{last}"); CURRENT=$(( {count} + 1 )); _dbre_completion""",
    "fish": 'dbre completion fish | source; complete -C "dbre {words} {last}"',
}


def complete(shell: str, words: str, last: str = "") -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs the shell {shell}: apt-get install {shell}")
    environment = os.environ | {"PATH": f"{SCRIPT_DIRECTORY}:{os.environ['PATH']}"}
    script = ASK[shell].format(words=words, last=last, count=len(words.split()) + 1)
    return subprocess.run(
        [program, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=30
    ).stdout


@pytest.mark.parametrize("shell", list(ASK))
def test_shell_gets_commands_subcommands_and_flags(shell: str) -> None:
    assert "server" in complete(shell, "")
    assert "budget" in complete(shell, "slo")
    assert "--columns" in complete(shell, "slo list", "--")
    assert "nagios" in complete(shell, "slo list -o")


def test_completion_of_commands_imports_none_of_them() -> None:
    environment = os.environ | {"_DBRE_COMPLETE": "complete_bash", "COMP_WORDS": "dbre ", "COMP_CWORD": "1"}
    words = [sys.executable, "-X", "importtime", "-m", "dbre"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert "server" in done.stdout.split()
    assert "dbre.capabilities" not in done.stderr  # an import would cost half of the 0.5 s that a shell may wait
