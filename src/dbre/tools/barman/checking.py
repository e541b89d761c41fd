"""What ``barman check`` says: one answer for each of its named checks."""

from collections.abc import Iterator

from dbre.core.text import printable
from dbre.ports.backup.model import Problem
from dbre.tools.barman.program import Answer

__all__ = ["check_problems"]


def check_problems(answer: Answer, server: str) -> Iterator[Problem]:
    """A problem for each check that failed; none of them blocks reading or restoring what is there.

    That a check is good says little: none of them sees a hole in the log.
    """
    checks = answer.data.get(server)
    if not isinstance(checks, dict) or not checks:
        said = answer.complaints or "nothing"
        yield _problem(f"barman check {server} says {said}")
        return
    for name, found in sorted(checks.items()):
        status = found.get("status") if isinstance(found, dict) else None
        if status != "OK":
            hint = printable(str(found.get("hint", "")), limit=300) if isinstance(found, dict) else ""
            yield _problem(
                f"barman check {server} says {printable(str(name), limit=80)}: {status}" + (f", {hint}" if hint else "")
            )


def _problem(message: str) -> Problem:
    return Problem(rule="backup.tool_says", message=message, hint="barman check SERVER", is_blocking=False)
