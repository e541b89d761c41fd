"""Programs that know whether rules and configurations are right: promtool, vmalert and amtool, where they are installed."""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError, Unsupported
from dbre.core.programs.starting import start
from dbre.core.text import printable

__all__ = ["Finding", "NoChecker", "check_alertmanager", "check_rules", "find_tool", "run_rule_tests"]

_SECONDS = 120.0
_LONGEST_OUTPUT = 20_000


class NoChecker(Unsupported):
    """No program that could check is installed."""

    code = "tools.no_checker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a program said."""

    tool: str
    is_good: bool
    output: str


def find_tool(*names: str) -> Path | None:
    """The first of some programs that is on the path."""
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


async def check_rules(file: Path, *, timeout_seconds: float = _SECONDS) -> Finding:
    """Whether a file of rules is right: asked of promtool, or else of vmalert.

    Raises: NoChecker where neither is installed, DbreError where it does not end in time.
    """
    if (promtool := find_tool("promtool")) is not None:
        return await _run([promtool, "check", "rules", "--lint-fatal", file], timeout_seconds)
    if (vmalert := find_tool("vmalert")) is not None:
        return await _run([vmalert, "-dryRun", f"-rule={file}", "-loggerLevel=ERROR"], timeout_seconds)
    raise NoChecker(
        "the rules were written and not checked: neither promtool nor vmalert is installed",
        hint="apt: prometheus, or leave --check out",
    )


async def run_rule_tests(file: Path, *, timeout_seconds: float = _SECONDS) -> Finding:
    """Run a file of unit tests of rules. Raises: NoChecker, DbreError where it does not end in time."""
    promtool = find_tool("promtool")
    if promtool is None:
        raise NoChecker("unit tests of rules need promtool, which is not installed", hint="apt: prometheus")
    return await _run([promtool, "test", "rules", file], timeout_seconds)


async def check_alertmanager(file: Path, *, timeout_seconds: float = _SECONDS) -> Finding:
    """Whether a configuration of Alertmanager is right. Raises: NoChecker, DbreError where it does not end in time."""
    amtool = find_tool("amtool")
    if amtool is None:
        raise NoChecker(
            "a configuration of Alertmanager is checked by amtool, which is not installed", hint="apt: prometheus-alertmanager"
        )
    return await _run([amtool, "check-config", file], timeout_seconds)


async def _run(command: Sequence[str | Path], timeout_seconds: float) -> Finding:
    """In a session of its own, so that nothing of it is left when it takes too long or we are cancelled."""
    words = [os.fspath(one) for one in command]
    name = Path(words[0]).name
    child = await start(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")},
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, _ = await child.communicate()
    except TimeoutError as error:
        raise DbreError(f"{name} did not end within {timeout_seconds:g} s", hint="run it by hand on the files") from error
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    lines = output.decode(errors="replace")[:_LONGEST_OUTPUT].splitlines()
    shown = "\n".join(printable(line.replace("\t", "  ")) for line in lines).strip()
    return Finding(tool=name, is_good=child.returncode == 0, output=shown)
